use super::*;
use crate::tls::{TlsMode, TlsPlan};
use std::net::ToSocketAddrs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What a connection comes to when the server answers the wish for TLS with these bytes and goes away.
async fn connecting(mode: TlsMode, password: Option<&str>, answers: Vec<Vec<u8>>) -> DoorError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        for answer in answers {
            let _ = socket.read(&mut buffer).await;
            socket.write_all(&answer).await.unwrap();
        }
    });
    let mut target =
        Target::parse(&format!("postgres://me@localhost:{port}/game?hostaddr=127.0.0.1")).unwrap();
    target.tls = TlsPlan::new(mode, None);
    target.config.ssl_mode(mode.for_driver());
    if let Some(password) = password {
        target.config.password(password);
    }
    let pool = super::super::Pool::new(target, Duration::from_secs(10)).unwrap();
    let asked = pool
        .rows(super::super::pool::Durability::Sure, "select 1", &[])
        .await;
    asked.expect_err("no connection")
}

#[tokio::test]
async fn a_handshake_that_is_cut_is_begun_again() {
    for cut_in_the_middle in [vec![b"S".to_vec()], vec![b"S".to_vec(), vec![22, 3, 3]], vec![]] {
        let error = connecting(TlsMode::Require, None, cut_in_the_middle).await;
        assert!(error.is_temporary() && !error.needs_a_person(), "{error:?}");
        assert!(matches!(error, DoorError::Unreachable(Away::Cut, _)), "{error:?}");
    }
}

#[tokio::test]
async fn what_a_person_has_to_set_right_is_told_from_it() {
    let no_tls = connecting(TlsMode::Require, Some("s3cret"), vec![b"N".to_vec()]).await;
    assert!(matches!(no_tls, DoorError::Tls(_)), "{no_tls:?}");
    // "R", its length, 3: a password in clear.
    let password = vec![b"N".to_vec(), vec![b'R', 0, 0, 0, 8, 0, 0, 0, 3]];
    let missing = connecting(TlsMode::Prefer, None, password).await;
    assert!(
        matches!(missing, DoorError::LogIn(Refusal::NoPassword, _)),
        "{missing:?}"
    );
    // 7: GSSAPI.
    let gss = vec![b"N".to_vec(), vec![b'R', 0, 0, 0, 8, 0, 0, 0, 7]];
    let unsupported = connecting(TlsMode::Prefer, Some("s3cret"), gss).await;
    assert!(
        matches!(unsupported, DoorError::LogIn(Refusal::Unsupported, _)),
        "{unsupported:?}"
    );
    let no_tls_spoken = vec![b"S".to_vec(), b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()];
    let garbage = connecting(TlsMode::Require, None, no_tls_spoken).await;
    assert!(garbage.needs_a_person(), "{garbage:?}");
}

#[test]
fn certificates_need_a_person_and_a_server_that_closes_does_not() {
    use rustls::{AlertDescription, CertificateError, Error};
    let handshake = |error: Error| io::Error::new(io::ErrorKind::InvalidData, error);
    for person in [
        Error::InvalidCertificate(CertificateError::UnknownIssuer),
        Error::AlertReceived(AlertDescription::UnknownCA),
        Error::NoCertificatesPresented,
    ] {
        assert!(handshake_needs_a_person(&handshake(person)));
    }
    let closing = Error::AlertReceived(AlertDescription::CloseNotify);
    assert!(!handshake_needs_a_person(&handshake(closing)));
    assert!(!handshake_needs_a_person(&io::ErrorKind::ConnectionReset.into()));
}

#[test]
fn what_keeps_an_answer_away_is_told_by_kind() {
    let unknown = ("no-such-host.invalid", 1).to_socket_addrs().unwrap_err();
    assert_eq!(Away::of(&unknown), Away::UnknownHost);
    for (number, away) in [
        (97, Away::NoRoute),
        (99, Away::NoRoute),
        (101, Away::NoRoute),
        (104, Away::Cut),
        (110, Away::Late),
        (111, Away::Refused),
    ] {
        assert_eq!(Away::of(&io::Error::from_raw_os_error(number)), away, "{number}");
    }
    assert_eq!(Away::of(&io::ErrorKind::UnexpectedEof.into()), Away::Cut);
}
