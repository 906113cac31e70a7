//! Stand-ins for what may lie between an executor and its server: a transaction pooler, which hands everything
//! on and swallows the notifications, and a network that ends a connection just then.

use pg_worker_tests::Database;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const NOTIFICATION: u8 = b'A';

/// What becomes of a notification.
enum Fate {
    HandedOn,
    Swallowed,
    /// The connection ends instead.
    Cut,
}

type Decide = Arc<dyn Fn() -> Fate + Send + Sync>;

/// The database's URL with one of these in between.
pub fn through(proxy: fn(u16) -> u16, database: &Database) -> String {
    let port = database.cluster().port();
    let url = database.url();
    let there = url.replace(&format!(":{port}/"), &format!(":{}/", proxy(port)));
    format!("{there}?sslmode=disable")
}

/// No notification arrives, ever.
pub fn swallowing(port: u16) -> u16 {
    proxy_to(port, Arc::new(|| Fate::Swallowed))
}

/// The first notification of all arrives and no other one does: what lies in between has been changed.
pub fn deaf_after_one(port: u16) -> u16 {
    let heard = AtomicBool::new(false);
    proxy_to(
        port,
        Arc::new(move || {
            if heard.swap(true, Ordering::SeqCst) {
                Fate::Swallowed
            } else {
                Fate::HandedOn
            }
        }),
    )
}

/// The first connection on which a notification comes ends there; no other one does.
pub fn cutting_once(port: u16) -> u16 {
    let cut = AtomicBool::new(false);
    proxy_to(
        port,
        Arc::new(move || {
            if cut.swap(true, Ordering::SeqCst) {
                Fate::HandedOn
            } else {
                Fate::Cut
            }
        }),
    )
}

/// Listens on a port of its own for as long as the test process lives.
fn proxy_to(port: u16, decide: Decide) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let decide = Arc::clone(&decide);
            std::thread::spawn(move || serve(&client, port, &decide));
        }
    });
    own
}

fn serve(client: &TcpStream, port: u16, decide: &Decide) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port))?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let result = hand_on(&server, client, decide);
    let _ = client.shutdown(Shutdown::Both);
    result
}

/// The server's messages: a type, a length that counts itself, and the rest.
fn hand_on(mut server: &TcpStream, mut client: &TcpStream, decide: &Decide) -> io::Result<()> {
    loop {
        let mut head = [0; 5];
        server.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut rest = vec![0; length - 4];
        server.read_exact(&mut rest)?;
        let fate = if head[0] == NOTIFICATION {
            decide()
        } else {
            Fate::HandedOn
        };
        match fate {
            Fate::HandedOn => client.write_all(&[&head, rest.as_slice()].concat())?,
            Fate::Swallowed => {}
            Fate::Cut => return Ok(()),
        }
    }
}
