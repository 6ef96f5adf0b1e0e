package io.rivmesh.clients;

import static io.rivmesh.clients.Main.expect;

import jakarta.activation.DataHandler;
import jakarta.xml.ws.BindingProvider;
import jakarta.xml.ws.soap.SOAPBinding;
import jakarta.xml.ws.soap.SOAPFaultException;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.cxf.attachment.ByteDataSource;
import riv.rivmesh.demo.getgreeting._1.rivtabp21.GetGreetingResponderInterface;
import riv.rivmesh.demo.getgreeting._1.rivtabp21.GetGreetingResponderService;
import riv.rivmesh.demo.getgreetingresponder._1.GetGreetingResponseType;
import riv.rivmesh.demo.getgreetingresponder._1.GetGreetingType;

/** Calls of our own contract. What is expected is what ../../../../../../../answers.yaml sends. */
final class GreetingCalls implements Main.Calls {
    private static final String WSDL = "GetGreetingInteraction/GetGreetingInteraction_1.0_RIVTABP21.wsdl";
    private static final int PARAGRAPHS = 5000;
    private static final int PARAGRAPH = 1000;
    private static final byte[] PATTERN = "\0\u00ff\u0080\r\n--not the boundary\r\n\1".getBytes(StandardCharsets.ISO_8859_1);
    private static final int TIMES = 40_000;

    private GetGreetingResponderInterface port;

    @Override
    public Map<String, Main.Call> byName(Endpoint endpoint) throws Exception {
        var service = new GetGreetingResponderService(endpoint.wsdl().resolve(WSDL).toUri().toURL());
        port = endpoint.use(service.getGetGreetingResponderPort());
        return Map.of(
                "ordinary-call", this::ordinaryCall,
                "fault-of-the-producer", this::faultOfTheProducer,
                "fault-of-the-platform", this::faultOfThePlatform,
                "answer-of-several-megabytes", this::answerOfSeveralMegabytes,
                "mtom", this::mtom);
    }

    private GetGreetingResponseType greet(String address, DataHandler attachment) {
        GetGreetingType request = new GetGreetingType();
        request.setName("Tolvan Åström");
        request.setAttachment(attachment);
        return port.getGreeting(address, request);
    }

    private void ordinaryCall() {
        expect(greet("SE2321000131-GREETING", null).getGreeting(), "Hej Tolvan Åström");
    }

    private void faultOfTheProducer() {
        SOAPFaultException fault = refused("SE2321000131-FAULT");
        expect(fault.getFault().getFaultString(), "Ingen hälsning finns");
        expect(fault.getFault().getDetail().getTextContent().trim(), "tystnad");
    }

    private void faultOfThePlatform() {
        expect(refused("SE2321000131-NOBODY").getFault().getFaultString().substring(0, 6), "VP004 ");
    }

    private SOAPFaultException refused(String address) {
        try {
            greet(address, null);
        } catch (SOAPFaultException fault) {
            return fault;
        }
        throw new AssertionError("no fault came");
    }

    private void answerOfSeveralMegabytes() {
        List<String> paragraphs = greet("SE2321000131-LARGE", null).getParagraph();
        expect(paragraphs.size(), PARAGRAPHS);
        expect(paragraphs.stream().allMatch(paragraph -> paragraph.length() == PARAGRAPH), true);
    }

    private void mtom() throws Exception {
        byte[] attachment = new byte[PATTERN.length * TIMES];
        for (int i = 0; i < TIMES; i++) {
            System.arraycopy(PATTERN, 0, attachment, i * PATTERN.length, PATTERN.length);
        }
        SOAPBinding binding = (SOAPBinding) ((BindingProvider) port).getBinding();
        binding.setMTOMEnabled(true);
        try {
            DataHandler sent = new DataHandler(new ByteDataSource(attachment, "application/octet-stream"));
            ByteArrayOutputStream received = new ByteArrayOutputStream();
            greet("SE2321000131-MTOM", sent).getAttachment().writeTo(received);
            expect(Arrays.equals(received.toByteArray(), attachment), true);
        } finally {
            binding.setMTOMEnabled(false);
        }
    }
}
