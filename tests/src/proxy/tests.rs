use super::*;
use std::io::{self, Read, Write};

/// A server that answers each line with itself.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    port
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn ask(mut stream: &TcpStream, text: &str) -> io::Result<String> {
    stream.write_all(text.as_bytes())?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8(answer).unwrap())
}

#[test]
fn it_hands_on_until_it_is_cut_and_then_new_connections_work() {
    let proxy = Proxy::start(echo());
    let old = connect(&proxy);
    assert_eq!(ask(&old, "hello").unwrap(), "hello");
    proxy.cut();
    assert!(ask(&old, "hello").is_err());
    assert_eq!(ask(&connect(&proxy), "again").unwrap(), "again");
    proxy.refuse(true);
    assert!(ask(&connect(&proxy), "hello").is_err());
}

#[test]
fn a_half_open_connection_is_silent_and_not_closed() {
    let proxy = Proxy::start(echo());
    let old = connect(&proxy);
    assert_eq!(ask(&old, "hello").unwrap(), "hello");
    proxy.half_open();
    old.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let silence = ask(&old, "hello").unwrap_err();
    assert_eq!(silence.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(ask(&connect(&proxy), "new").unwrap(), "new");
}

#[test]
fn what_was_frozen_arrives_late() {
    let proxy = Proxy::start(echo());
    let stream = connect(&proxy);
    assert_eq!(ask(&stream, "hello").unwrap(), "hello");
    proxy.freeze();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(ask(&stream, "late").is_err());
    proxy.thaw();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = [0; 4];
    (&stream).read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"late");
}

#[test]
fn one_answer_is_lost() {
    let proxy = Proxy::start(echo());
    proxy.trap("two", Trap::LoseAnswer);
    let stream = connect(&proxy);
    assert_eq!(ask(&stream, "one").unwrap(), "one");
    assert!(ask(&stream, "two").is_err());
    assert_eq!(ask(&connect(&proxy), "two").unwrap(), "two");
    assert_eq!(proxy.trapped(), 1);
}

#[test]
fn a_request_or_its_answer_is_held() {
    for trap in [Trap::HoldRequest, Trap::HoldAnswer] {
        let proxy = Proxy::start(echo());
        proxy.trap("two", trap);
        let stream = connect(&proxy);
        assert_eq!(ask(&stream, "one").unwrap(), "one");
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let silence = ask(&stream, "two").unwrap_err();
        assert_eq!(silence.kind(), io::ErrorKind::WouldBlock, "{trap:?}");
        assert_eq!(proxy.trapped(), 1);
        assert_eq!(ask(&connect(&proxy), "two").unwrap(), "two");
    }
}
