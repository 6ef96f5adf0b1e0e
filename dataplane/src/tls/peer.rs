//! Names of peers that are part of the platform's surroundings, such as an ingress: which certificate is theirs.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_X509_SERIALNUMBER;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::AttributeTypeAndValue;

use crate::config::PeerName;

/// Whether one of the names is in the certificate. The certificate must have been verified.
pub fn is_named(names: &[PeerName], leaf: &CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else { return false };
    names.iter().any(|name| has_name(&certificate, name))
}

fn has_name(certificate: &X509Certificate<'_>, name: &PeerName) -> bool {
    match name {
        PeerName::SerialNumber(wanted) => any_text(certificate.subject().iter_by_oid(&OID_X509_SERIALNUMBER), |text| {
            text.eq_ignore_ascii_case(wanted)
        }),
        PeerName::CommonName(wanted) => any_text(certificate.subject().iter_common_name(), |text| text == wanted),
        PeerName::DnsName(wanted) => {
            let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
            names
                .value
                .general_names
                .iter()
                .any(|name| matches!(name, GeneralName::DNSName(dns) if dns.eq_ignore_ascii_case(wanted)))
        }
    }
}

fn any_text<'a>(
    mut values: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>,
    is_wanted: impl Fn(&str) -> bool,
) -> bool {
    values.any(|value| value.as_str().is_ok_and(&is_wanted))
}
