//! A stand-in for a transaction pooler: it hands everything on, and swallows the notifications.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

const NOTIFICATION: u8 = b'A';

/// Listens on a port of its own for as long as the test process lives.
pub fn proxy_to(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(&client, port));
        }
    });
    own
}

fn serve(client: &TcpStream, port: u16) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port))?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let result = without_notifications(&server, client);
    let _ = client.shutdown(Shutdown::Both);
    result
}

/// The server's messages: a type, a length that counts itself, and the rest.
fn without_notifications(mut server: &TcpStream, mut client: &TcpStream) -> io::Result<()> {
    loop {
        let mut head = [0; 5];
        server.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut rest = vec![0; length - 4];
        server.read_exact(&mut rest)?;
        if head[0] != NOTIFICATION {
            client.write_all(&[&head, rest.as_slice()].concat())?;
        }
    }
}
