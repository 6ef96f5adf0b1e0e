//! Sessions that are resumed and connections that stay open are judged by the same rules as new ones.

use super::*;

/// Connects twice with a client and gives the second, which is resumed.
async fn resumed(server: &Arc<ServerTls>, client: &Arc<ClientConfig>) -> Connected {
    let first = connect(server, client).await.expect("let in");
    assert_eq!(first.kind, HandshakeKind::Full);
    let second = connect(server, client).await.expect("let in");
    assert_eq!(second.kind, HandshakeKind::Resumed);
    assert_eq!(second.chain, first.chain, "the chain of the first handshake is known in the second");
    second
}

#[tokio::test]
async fn a_resumed_session_of_a_revoked_client_is_refused() {
    for version in BOTH {
        let bench = Bench::new();
        let (server, client) = (bench.server(), bench.client(Some("client"), version));
        let good = resumed(&server, &client).await;
        assert!(server.recheck(&good.chain, bench.clock.now()).is_ok());

        bench.pki.crl("ca.crl", &bench.ca, 2, 10, &[2]);
        let server = bench.reload(&server);
        let back = connect(&server, &client).await.expect("rustls itself lets it in");
        assert_eq!(back.kind, HandshakeKind::Resumed, "a new list keeps the tickets");
        assert_eq!(server.recheck(&back.chain, bench.clock.now()).unwrap_err().reason, Reason::Revoked);
    }
}

#[tokio::test]
async fn a_resumed_session_of_an_expired_client_is_refused() {
    for version in BOTH {
        let mut bench = Bench::new();
        bench.config.clients.revocation = RevocationMode::Off;
        let new_year = 1_798_761_600;
        bench.clock.set(new_year - 3600);
        let (server, client) = (bench.server(), bench.client(Some("client"), version));
        let good = resumed(&server, &client).await;
        let standing = server.recheck(&good.chain, bench.clock.now()).unwrap();
        assert_eq!(standing.until, i64::try_from(new_year + 1).unwrap());
        assert!(server.clients.upholds(&standing, bench.clock.now()));

        bench.clock.set(new_year + 1);
        let back = connect(&server, &client).await.expect("rustls itself lets it in");
        assert_eq!(back.kind, HandshakeKind::Resumed);
        let refusal = server.recheck(&back.chain, bench.clock.now()).unwrap_err();
        assert_eq!(refusal.reason, Reason::Expired { not_after: i64::try_from(new_year).unwrap() });
        // So is a connection that has stayed open.
        assert!(!server.clients.upholds(&standing, bench.clock.now()));
        assert!(server.clients.renew(&standing, &good.chain, bench.clock.now()).is_err());
    }
}

#[tokio::test]
async fn a_change_of_authorities_ends_all_sessions() {
    for version in BOTH {
        let bench = Bench::new();
        let (server, client) = (bench.server(), bench.client(Some("client"), version));
        resumed(&server, &client).await;
        bench.pki.write("ca.pem", format!("{}{}", bench.ca.pem(), root("New CA").pem()));
        let server = bench.reload(&server);
        let again = connect(&server, &client).await.expect("let in");
        assert_eq!(again.kind, HandshakeKind::Full);
    }
}

#[tokio::test]
async fn a_renewed_certificate_of_ours_keeps_the_sessions() {
    for version in BOTH {
        let bench = Bench::new();
        let (server, client) = (bench.server(), bench.client(Some("client"), version));
        resumed(&server, &client).await;
        bench.pki.leaf("server", &bench.ca, &Leaf::server(40, "vp.example"), &[]);
        let renewed = bench.reload(&server);
        assert!(!Arc::ptr_eq(&renewed, &server) && Arc::ptr_eq(&renewed.clients, &server.clients));
        let again = connect(&renewed, &client).await.expect("let in");
        assert_eq!(again.kind, HandshakeKind::Resumed);
    }
}

#[test]
fn what_has_not_changed_stays_the_same_object() {
    let bench = Bench::new();
    let server = bench.server();
    assert!(Arc::ptr_eq(&bench.reload(&server), &server));
    bench.pki.crl("ca.crl", &bench.ca, 2, 10, &[]);
    let reloaded = bench.reload(&server);
    assert!(!Arc::ptr_eq(&reloaded, &server));
    assert!(Arc::ptr_eq(&reloaded.clients.bundle, &server.clients.bundle));
}

#[test]
fn an_open_connection_is_judged_again_after_a_reload() {
    let bench = Bench::new();
    let (server, chain, now) = (bench.server(), bench.chain("client"), bench.clock.now());
    let standing = server.clients.verify(&chain, now).unwrap();
    assert!(server.clients.upholds(&standing, now));
    assert_eq!(server.clients.renew(&standing, &chain, now).unwrap(), standing);

    bench.pki.crl("ca.crl", &bench.ca, 2, 12, &[99]);
    let server = bench.reload(&server);
    assert!(!server.clients.upholds(&standing, now), "a reload asks again");
    let renewed = server.clients.renew(&standing, &chain, now).unwrap();
    assert!(server.clients.upholds(&renewed, now) && renewed.until > standing.until);

    bench.pki.crl("ca.crl", &bench.ca, 3, 12, &[2]);
    let server = bench.reload(&server);
    assert_eq!(server.clients.renew(&renewed, &chain, now).unwrap_err().reason, Reason::Revoked);
}

#[test]
fn an_open_connection_does_not_outlive_its_authority() {
    let bench = Bench::new();
    let (server, chain, now) = (bench.server(), bench.chain("client"), bench.clock.now());
    let standing = server.clients.verify(&chain, now).unwrap();
    // The same name with another key: only a signature can tell.
    let successor = root("Function CA v1");
    bench.pki.write("ca.pem", successor.pem());
    bench.pki.crl("ca.crl", &successor, 1, 10, &[]);
    let server = bench.reload(&server);
    assert_eq!(server.clients.renew(&standing, &chain, now).unwrap_err().reason, Reason::BadSignature);
}
