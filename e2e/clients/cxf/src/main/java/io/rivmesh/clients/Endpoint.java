package io.rivmesh.clients;

import jakarta.xml.ws.BindingProvider;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import java.util.Map;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.TrustManagerFactory;
import org.apache.cxf.configuration.jsse.TLSClientParameters;
import org.apache.cxf.frontend.ClientProxy;
import org.apache.cxf.transport.http.HTTPConduit;

/** Where the platform is, and the certificates with which it is called; key material is PEM. */
public record Endpoint(String url, Path wsdl, KeyStore identity, KeyStore trust) {
    private static final char[] NO_PASSWORD = new char[0];

    static Endpoint from(Map<String, String> options) throws Exception {
        Certificate[] chain = certificates(options.get("certificate")).toArray(Certificate[]::new);
        KeyStore identity = emptyStore();
        identity.setKeyEntry("consumer", privateKey(options.get("key")), NO_PASSWORD, chain);
        KeyStore trust = emptyStore();
        int number = 0;
        for (Certificate authority : certificates(options.get("trust"))) {
            trust.setCertificateEntry("authority-" + number++, authority);
        }
        return new Endpoint(options.get("url"), Path.of(options.get("wsdl")), identity, trust);
    }

    /** Points a generated port at the platform, with mutual TLS and a time limit. */
    public <T> T use(T port) throws Exception {
        ((BindingProvider) port).getRequestContext().put(BindingProvider.ENDPOINT_ADDRESS_PROPERTY, url);
        HTTPConduit conduit = (HTTPConduit) ClientProxy.getClient(port).getConduit();
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(identity, NO_PASSWORD);
        TrustManagerFactory authorities = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        authorities.init(trust);
        TLSClientParameters tls = new TLSClientParameters();
        tls.setKeyManagers(keys.getKeyManagers());
        tls.setTrustManagers(authorities.getTrustManagers());
        conduit.setTlsClientParameters(tls);
        conduit.getClient().setReceiveTimeout(30_000);
        conduit.getClient().setConnectionTimeout(10_000);
        return port;
    }

    private static KeyStore emptyStore() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, NO_PASSWORD);
        return store;
    }

    private static Collection<? extends Certificate> certificates(String file) throws Exception {
        try (InputStream in = Files.newInputStream(Path.of(file))) {
            return CertificateFactory.getInstance("X.509").generateCertificates(in);
        }
    }

    private static PrivateKey privateKey(String file) throws Exception {
        String base64 = Files.readString(Path.of(file)).replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(base64)));
    }
}
