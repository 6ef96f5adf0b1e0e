package io.rivmesh.clients;

import static io.rivmesh.clients.Main.expect;

import java.util.Map;
import org.apache.cxf.ws.addressing.AttributedURIType;
import riv.clinicalprocess.healthcond.description._2.PersonIdType;
import riv.clinicalprocess.healthcond.description.getcaredocumentation._2.rivtabp21.GetCareDocumentationResponderService;
import riv.clinicalprocess.healthcond.description.getcaredocumentationresponder._2.GetCareDocumentationType;
import riv.itinfra.tp.ping._1.rivtabp20.PingResponderService;
import riv.itinfra.tp.pingresponder._1.PingRequestType;

/** Calls of national contracts, made from their official WSDLs. */
public final class OfficialCalls implements Main.Calls {
    @Override
    public Map<String, Main.Call> byName(Endpoint endpoint) {
        return Map.of(
                "official-get-care-documentation", () -> getCareDocumentation(endpoint),
                "official-ping", () -> ping(endpoint));
    }

    private static void getCareDocumentation(Endpoint endpoint) throws Exception {
        PersonIdType patient = new PersonIdType();
        patient.setId("191212121212");
        patient.setType("1.2.752.129.2.1.3.1");
        GetCareDocumentationType request = new GetCareDocumentationType();
        request.setPatientId(patient);
        var port = endpoint.use(new GetCareDocumentationResponderService().getGetCareDocumentationResponderPort());
        expect(port.getCareDocumentation("SE2321000131-CARE", request).getCareDocumentation().size(), 0);
    }

    /** Basic Profile 2.0: the address travels in wsa:To. */
    private static void ping(Endpoint endpoint) throws Exception {
        AttributedURIType address = new AttributedURIType();
        address.setValue("SE2321000131-PING");
        PingRequestType request = new PingRequestType();
        request.setPingIn("hej");
        var port = endpoint.use(new PingResponderService().getPingResponderPort());
        expect(port.ping(address, request).getPingUt(), "hej igen");
    }
}
