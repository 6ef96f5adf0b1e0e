"""Calls through a running platform with zeep, a common SOAP client; see ../README.md for what it prints."""
import argparse
import pathlib
import sys

import requests
import zeep
from zeep.transports import Transport

GREETING_WSDL = "GetGreetingInteraction/GetGreetingInteraction_1.0_RIVTABP21.wsdl"
CARE_WSDL = (
    "clinicalprocess_healthcond_description/agt_GetCareDocumentation_2.1/interactions/"
    "GetCareDocumentationInteraction/GetCareDocumentationInteraction_2.1_RIVTABP21.wsdl"
)
PING_WSDL = "itinfra_tp/PingInteraction_1.0_rivtabp20.wsdl"
# What the producers' scripts (../answers.yaml) send.
PARAGRAPHS = 5000
PARAGRAPH = 1000
ATTACHMENT = b"\x00\xff\x80\r\n--not the boundary\r\n\x01" * 40000


class Calls:
    """All calls, each a method; a wrong answer is an exception."""

    def __init__(self, options):
        self.options = options
        session = requests.Session()
        session.cert = (options.certificate, options.key)
        session.verify = options.trust
        # Proxies and credentials from the environment are none of our business.
        session.trust_env = False
        self.transport = Transport(session=session, timeout=30, operation_timeout=30)

    def service(self, folder, wsdl, binding):
        client = zeep.Client(str(pathlib.Path(folder, wsdl)), transport=self.transport)
        return client.create_service(binding, self.options.url)

    def greeting(self, address):
        binding = "{urn:riv:rivmesh:demo:GetGreeting:1:rivtabp21}GetGreetingResponderBinding"
        service = self.service(self.options.wsdl, GREETING_WSDL, binding)
        return service.GetGreeting(name="Tolvan Åström", _soapheaders={"LogicalAddress": address})

    def ordinary_call(self):
        expect(self.greeting("SE2321000131-GREETING").greeting, "Hej Tolvan Åström")

    def fault_of_the_producer(self):
        fault = self.refused("SE2321000131-FAULT")
        expect(fault.message, "Ingen hälsning finns")
        expect(fault.detail.findtext(".//{urn:riv:rivmesh:demo:1}reason"), "tystnad")

    def fault_of_the_platform(self):
        expect(self.refused("SE2321000131-NOBODY").message[:6], "VP004 ")

    def refused(self, address):
        try:
            self.greeting(address)
        except zeep.exceptions.Fault as fault:
            return fault
        raise AssertionError("no fault came")

    def answer_of_several_megabytes(self):
        paragraphs = self.greeting("SE2321000131-LARGE").paragraph
        expect(len(paragraphs), PARAGRAPHS)
        expect({len(paragraph) for paragraph in paragraphs}, {PARAGRAPH})

    def mtom(self):
        expect(self.greeting("SE2321000131-MTOM").attachment == ATTACHMENT, True)

    def official_get_care_documentation(self):
        binding = "{urn:riv:clinicalprocess:healthcond:description:GetCareDocumentation:2:rivtabp21}GetCareDocumentationResponderBinding"
        service = self.service(self.options.official, CARE_WSDL, binding)
        answer = service.GetCareDocumentation(
            patientId={"id": "191212121212", "type": "1.2.752.129.2.1.3.1"},
            _soapheaders={"LogicalAddress": "SE2321000131-CARE"},
        )
        expect(answer.careDocumentation, [])

    def official_ping(self):
        service = self.service(self.options.official, PING_WSDL, "{urn:riv:itinfra:tp:Ping:1:rivtabp20}PingResponderBinding")
        answer = service.ping(pingIn="hej", _soapheaders={"LogicalAddress": "SE2321000131-PING"})
        expect(answer.pingUt if hasattr(answer, "pingUt") else answer, "hej igen")


def expect(actual, wanted):
    if actual != wanted:
        raise AssertionError(f"{actual!r} came where {wanted!r} was wanted")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("url", "certificate", "key", "trust", "wsdl"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--official", help="folder of the official schemas")
    parser.add_argument("calls", nargs="+")
    options = parser.parse_args()
    calls = Calls(options)
    failed = False
    for name in options.calls:
        try:
            getattr(calls, name.replace("-", "_"))()
            print(f"PASS {name}", flush=True)
        except Exception as error:  # Whatever goes wrong in a call is that call's failure, not the end.
            failed = True
            print(f"FAIL {name}: {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
