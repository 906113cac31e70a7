//! TLS for both sides: PostgreSQL with libpq's modes, and HTTPS for the model host.
//!
//! `require` encrypts and checks nothing, `verify-ca` checks who signed the certificate, and
//! `verify-full` also that it is the right host's. rustls only knows the last one, so the other
//! two are verifiers that let more through. All cryptography is ring's.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl TlsMode {
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    /// Rather no connection than one without encryption.
    pub fn insists(self) -> bool {
        matches!(self, Self::Require | Self::VerifyCa | Self::VerifyFull)
    }

    pub fn for_driver(self) -> tokio_postgres::config::SslMode {
        use tokio_postgres::config::SslMode;
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

/// Whose signature counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    System,
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPlan {
    pub mode: TlsMode,
    pub roots: Option<Roots>,
}

impl TlsPlan {
    /// As in libpq, `require` with a root certificate means `verify-ca`.
    pub fn new(mode: TlsMode, roots: Option<Roots>) -> Self {
        let mode = if mode == TlsMode::Require && roots.is_some() {
            TlsMode::VerifyCa
        } else {
            mode
        };
        Self { mode, roots }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read the root certificates in {path} (sslrootcert): {why}", path = path.display())]
    RootFile { path: PathBuf, why: String },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
    #[error("TLS cannot be set up: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

/// Settings for connections to PostgreSQL.
pub fn for_database(plan: &TlsPlan) -> Result<ClientConfig, TlsError> {
    match plan.mode {
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => {
            with_verifier(Arc::new(Trusting(provider())))
        }
        TlsMode::VerifyCa => {
            let inner =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots(plan)?), provider()).build()?;
            with_verifier(Arc::new(AnyName(inner)))
        }
        TlsMode::VerifyFull => Ok(builder()?
            .with_root_certificates(roots(plan)?)
            .with_no_client_auth()),
    }
}

/// Settings for HTTPS. Works in a container without a certificate store, which plain HTTP needs too.
pub fn for_http() -> Result<ClientConfig, TlsError> {
    Ok(builder()?
        .with_root_certificates(system_roots())
        .with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    Ok(ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?)
}

fn with_verifier(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, TlsError> {
    Ok(builder()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

fn roots(plan: &TlsPlan) -> Result<RootCertStore, TlsError> {
    let Some(Roots::File(path)) = &plan.roots else {
        return Ok(system_roots());
    };
    let failed = |why: String| TlsError::RootFile {
        path: path.clone(),
        why,
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(failed("there is no certificate in it".into()));
    }
    Ok(store)
}

/// The machine's store and Mozilla's list, since slim containers come without the former.
fn system_roots() -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    store
}

/// `require`: encrypted, whoever it is. The handshake's signature is still checked.
struct Trusting(Arc<CryptoProvider>);

/// `verify-ca`: signed by a known root, whatever the name.
struct AnyName(Arc<WebPkiServerVerifier>);

impl fmt::Debug for Trusting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trusting")
    }
}

impl fmt::Debug for AnyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyName")
    }
}

type Signature = Result<HandshakeSignatureValid, rustls::Error>;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Signature {
        rustls::crypto::verify_tls12_signature(m, c, d, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Signature {
        rustls::crypto::verify_tls13_signature(m, c, d, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        // The chain is checked before the name, so a name that does not fit has a chain that does.
        match self.0.verify_server_cert(certificate, between, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Signature {
        self.0.verify_tls12_signature(m, c, d)
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Signature {
        self.0.verify_tls13_signature(m, c, d)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn require_with_a_root_certificate_verifies_the_signer() {
        let plan = TlsPlan::new(TlsMode::Require, Some(Roots::System));
        assert_eq!(plan.mode, TlsMode::VerifyCa);
    }

    #[test]
    fn a_root_file_that_is_not_there_is_named() {
        let plan = TlsPlan::new(TlsMode::VerifyFull, Some(Roots::File("/nowhere/ca.pem".into())));
        let text = for_database(&plan).unwrap_err().to_string();
        assert!(
            text.contains("/nowhere/ca.pem") && text.contains("sslrootcert"),
            "{text}"
        );
    }

    #[test]
    fn every_mode_gives_a_configuration() {
        for mode in [
            TlsMode::Disable,
            TlsMode::Prefer,
            TlsMode::Require,
            TlsMode::VerifyCa,
            TlsMode::VerifyFull,
        ] {
            assert!(for_database(&TlsPlan::new(mode, None)).is_ok(), "{mode:?}");
        }
        assert!(for_http().is_ok());
    }
}
