//! Which revocation lists count, how long, and for whom.

use super::*;

#[tokio::test]
async fn without_a_list_of_its_issuer_nobody_is_let_in() {
    let mut bench = Bench::new();
    bench.config.clients.crls.clear();
    let server = bench.server();
    assert_eq!(bench.refusal(&server, Some("client")).await.reason, Reason::NoRevocationList);

    let other = root("Other CA");
    bench.pki.crl("other.crl", &other, 1, 10, &[]);
    bench.config.clients.crls.push(bench.pki.path("other.crl"));
    assert_eq!(bench.refusal(&bench.reload(&server), Some("client")).await.reason, Reason::NoRevocationList);
}

#[tokio::test]
async fn a_list_counts_until_its_grace_is_over() {
    let bench = Bench::new();
    let server = bench.server();
    // The list's next update is due 10 June, and grace is two days.
    for (at, let_in) in [(9 * DAY - 1, true), (9 * DAY, true), (11 * DAY - 1, true), (11 * DAY, false)] {
        bench.clock.set(NOW + at);
        assert_eq!(bench.is_let_in(&server, "client").await, let_in, "{at} s");
        assert_eq!(server.recheck(&bench.chain("client"), bench.clock.now()).is_ok(), let_in, "{at} s");
    }
    let next_update = i64::try_from(NOW + 9 * DAY).unwrap();
    assert_eq!(bench.refusal(&server, Some("client")).await.reason, Reason::StaleRevocationList { next_update });
}

#[tokio::test]
async fn available_lets_in_what_is_unknown_and_counts_it() {
    let mut bench = Bench::new();
    bench.config.clients.revocation = RevocationMode::Available;
    bench.pki.crl("ca.crl", &bench.ca, 2, 10, &[8]);
    bench.pki.leaf("revoked", &bench.ca, &Leaf::client(8, "SE1-X"), &[]);
    let server = bench.server();
    assert!(bench.is_let_in(&server, "client").await);
    assert_eq!(server.clients.unknown_revocations(), 0);
    bench.clock.set(NOW + 20 * DAY);
    assert!(bench.is_let_in(&server, "client").await);
    assert_eq!(server.clients.unknown_revocations(), 1);
    assert_eq!(bench.refusal(&server, Some("revoked")).await.reason, Reason::Revoked, "old news is still news");
    bench.config.clients.crls.clear();
    let reloaded = bench.reload(&server);
    assert!(bench.is_let_in(&reloaded, "revoked").await);
    assert_eq!(reloaded.clients.unknown_revocations(), 2, "the count goes on over a reload");
}

#[tokio::test]
async fn off_reads_no_list() {
    let mut bench = Bench::new();
    bench.config.clients.revocation = RevocationMode::Off;
    bench.pki.crl("ca.crl", &bench.ca, 2, 10, &[2]);
    assert!(bench.is_let_in(&bench.server(), "client").await);
}

#[tokio::test]
async fn lists_may_be_der_or_pem_and_several_in_a_file() {
    let bench = Bench::new();
    let other = root("Other CA");
    bench.pki.leaf("second", &other, &Leaf::client(2, "SE1-X"), &[]);
    bench.pki.write("ca.pem", format!("{}{}", bench.ca.pem(), other.pem()));
    let pems = [crl(&bench.ca, 1, 10, &[]).pem().unwrap(), crl(&other, 1, 10, &[2]).pem().unwrap()];
    bench.pki.write("ca.crl", pems.concat());
    let server = bench.server();
    assert!(bench.is_let_in(&server, "client").await, "serial number 2 is revoked by the other authority only");
    assert_eq!(bench.refusal(&server, Some("second")).await.reason, Reason::Revoked);
    bench.pki.write("ca.crl", crl(&bench.ca, 1, 10, &[2]).der());
    assert_eq!(bench.refusal(&bench.reload(&server), Some("client")).await.reason, Reason::Revoked);
}

#[tokio::test]
async fn the_newest_edition_of_a_list_counts() {
    let mut bench = Bench::new();
    bench.pki.crl("old.crl", &bench.ca, 1, 20, &[2]);
    bench.pki.crl("new.crl", &bench.ca, 2, 10, &[]);
    bench.config.clients.crls = ["old.crl", "new.crl"].map(|name| bench.pki.path(name)).to_vec();
    let server = bench.server();
    assert!(bench.is_let_in(&server, "client").await);
    bench.clock.set(NOW + 12 * DAY);
    assert_eq!(bench.refusal(&server, Some("client")).await.reason.label(), "stale-revocation-list");
}

/// Clients below an authority that they send along, as the trust bundle holds only the root.
struct Below {
    bench: Bench,
    above: Authority,
}

impl Below {
    fn new() -> Self {
        let mut bench = Bench::new();
        let above = intermediate("Issuing CA", &bench.ca);
        bench.pki.leaf("below", &above, &Leaf::client(20, "SE1-B"), &[&above]);
        bench.pki.crl("above.crl", &above, 1, 10, &[]);
        bench.config.clients.crls.push(bench.pki.path("above.crl"));
        Self { bench, above }
    }
}

#[tokio::test]
async fn the_list_of_an_authority_that_clients_send_counts() {
    let Below { bench, above } = Below::new();
    let server = bench.server();
    assert!(bench.is_let_in(&server, "below").await);
    bench.pki.crl("above.crl", &above, 2, 10, &[20]);
    let server = bench.reload(&server);
    // The new list has not been verified yet: the first to come is a connection that was open before.
    assert_eq!(server.recheck(&bench.chain("below"), bench.clock.now()).unwrap_err().reason, Reason::Revoked);
    assert_eq!(bench.refusal(&server, Some("below")).await.reason, Reason::Revoked);
}

#[test]
fn a_new_list_is_verified_before_an_open_connection_is_let_go_on() {
    let Below { mut bench, above } = Below::new();
    bench.config.clients.revocation = RevocationMode::Available;
    let (server, chain, now) = (bench.server(), bench.chain("below"), bench.clock.now());
    let standing = server.clients.verify(&chain, now).unwrap();
    bench.pki.crl("above.crl", &above, 2, 10, &[20]);
    let server = bench.reload(&server);
    assert_eq!(server.clients.renew(&standing, &chain, now).unwrap_err().reason, Reason::Revoked);
}

#[test]
fn an_authority_that_may_not_sign_lists_has_none() {
    let mut bench = Bench::new();
    let mut params = authority_params("Issuing CA");
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let key = rcgen::KeyPair::generate().unwrap();
    let above = Authority::signed_by(params, key, &bench.ca).unwrap();
    bench.pki.leaf("below", &above, &Leaf::client(20, "SE1-B"), &[&above]);
    // rcgen keeps to the rule too, so another issuer of the same name and key makes the list.
    let key = rcgen::KeyPair::from_pem(&above.key().serialize_pem()).unwrap();
    let signer = Authority::self_signed(authority_params("Issuing CA"), key).unwrap();
    bench.pki.crl("above.crl", &signer, 1, 10, &[]);
    bench.config.clients.crls.push(bench.pki.path("above.crl"));
    let refusal = bench.server().clients.verify(&bench.chain("below"), bench.clock.now()).unwrap_err();
    assert_eq!(refusal.reason, Reason::NoRevocationList);
}

#[tokio::test]
async fn a_forged_list_does_not_count() {
    let Below { bench, above } = Below::new();
    let forger = intermediate("Issuing CA", &root("Nobody"));
    bench.pki.crl("above.crl", &forger, 2, 10, &[]);
    let server = bench.server();
    assert_eq!(bench.refusal(&server, Some("below")).await.reason, Reason::NoRevocationList);
    // Sending the forger's certificate along does not help either.
    bench.pki.leaf("helped", &above, &Leaf::client(21, "SE1-B"), &[&forger, &above]);
    assert_eq!(bench.refusal(&server, Some("helped")).await.reason, Reason::NoRevocationList);
    let chain = bench.chain("helped");
    assert_eq!(server.recheck(&chain, bench.clock.now()).unwrap_err().reason, Reason::NoRevocationList);

    // Under the name of an authority that is in the bundle, it is seen at once.
    let impostor = root("Function CA v1");
    bench.pki.crl("ca.crl", &impostor, 3, 10, &[]);
    let error =
        ServerTls::build(&bench.config, &bench.files(), false, &bench.clock.clock(), Some(&server)).unwrap_err();
    assert!(error.to_string().contains("ca.crl: is not signed by the authority of that name in"), "{error}");
}

#[tokio::test]
async fn a_revoked_authority_takes_its_clients_along() {
    let Below { bench, .. } = Below::new();
    let server = bench.server();
    bench.pki.crl("ca.crl", &bench.ca, 2, 10, &[7]);
    let server = bench.reload(&server);
    assert_eq!(bench.refusal(&server, Some("below")).await.reason, Reason::IssuerRevoked);
    assert!(bench.is_let_in(&server, "client").await);
}

#[test]
fn nobody_outlives_a_revoked_authority_behind_a_certificate_of_its_name() {
    let Below { bench, above } = Below::new();
    // Signed by nobody that counts, but with the right names in it.
    let mut params = authority_params("Issuing CA");
    params.serial_number = Some(rcgen::SerialNumber::from(9));
    let forged = Authority::signed_by(params, rcgen::KeyPair::generate().unwrap(), &root("Function CA v1")).unwrap();
    bench.pki.leaf("hidden", &above, &Leaf::client(22, "SE1-B"), &[&forged, &above]);
    let (server, chain, now) = (bench.server(), bench.chain("hidden"), bench.clock.now());
    let standing = server.clients.verify(&chain, now).unwrap();
    bench.pki.crl("ca.crl", &bench.ca, 2, 10, &[7]);
    let server = bench.reload(&server);
    assert_eq!(server.recheck(&chain, now).unwrap_err().reason, Reason::IssuerRevoked, "a resumed session");
    assert_eq!(server.clients.renew(&standing, &chain, now).unwrap_err().reason, Reason::IssuerRevoked, "an open one");
    assert_eq!(server.clients.verify(&chain, now).unwrap_err().reason, Reason::IssuerRevoked, "a new one");
}

#[test]
fn a_partial_list_speaks_only_about_its_part() {
    use rcgen::{
        CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, KeyIdMethod,
        SerialNumber, date_time_ymd,
    };
    let bench = Bench::new();
    let partial = |point: &str, scope: Option<CrlScope>| {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 5, 1),
            next_update: date_time_ymd(2026, 6, 10),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: Some(CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint { uris: vec![point.to_owned()] },
                scope,
            }),
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        bench.pki.write("ca.crl", list.signed_by(&bench.ca).unwrap().der());
        bench.server().clients.verify(&bench.chain("client"), bench.clock.now()).map(|_| ()).map_err(|no| no.reason)
    };
    assert_eq!(partial("http://crl.example/1", None), Ok(()));
    assert_eq!(partial("http://crl.example/1", Some(CrlScope::UserCertsOnly)), Ok(()));
    assert_eq!(partial("http://crl.example/1", Some(CrlScope::CaCertsOnly)), Err(Reason::NoRevocationList));
    let with_point = |point: &str| {
        let (key, mut params) = (rcgen::KeyPair::generate().unwrap(), rcgen::CertificateParams::default());
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![point.to_owned()] }];
        let leaf = params.signed_by(&key, &bench.ca).unwrap().der().clone();
        bench.server().clients.verify(&[leaf], bench.clock.now()).map(|_| ()).map_err(|no| no.reason)
    };
    assert_eq!(partial("http://crl.example/1", None), Ok(()));
    assert_eq!(with_point("http://crl.example/1"), Ok(()));
    assert_eq!(with_point("http://crl.example/2"), Err(Reason::NoRevocationList));
}
