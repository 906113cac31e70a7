//! A TCP proxy that breaks the way networks break: it cuts connections, refuses new ones, delays
//! what it hands on, stops handing on without closing (a half-open socket), or loses one answer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Hands on what comes to its port, until told otherwise. Dropping it cuts everything.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    target: u16,
    refusing: bool,
    frozen: bool,
    delay: Duration,
    /// The answer to the next request that contains this is lost, and its connection with it.
    losing: Option<Vec<u8>>,
    lost: usize,
    connections: Vec<Connection>,
    number: u64,
}

struct Connection {
    id: u64,
    ends: [TcpStream; 2],
    stuck: bool,
    /// Its request went through; the answer must not.
    loses_answer: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    ToServer,
    ToClient,
}

impl Proxy {
    /// In front of a port on 127.0.0.1.
    pub fn start(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared::default());
        shared.lock().target = target;
        let inner = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &inner));
        Proxy { port, shared }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A URL that leads to the target, so that it leads here.
    pub fn in_front_of(&self, url: &str) -> String {
        let target = self.shared.lock().target;
        url.replace(
            &format!("127.0.0.1:{target}"),
            &format!("127.0.0.1:{}", self.port),
        )
    }

    /// Closes every connection that there is now; new ones are welcome.
    pub fn cut(&self) {
        self.shared.lock().cut();
        self.shared.changed.notify_all();
    }

    /// From now on (or no more) a new connection is closed at once.
    pub fn refuse(&self, refusing: bool) {
        self.shared.lock().refusing = refusing;
    }

    /// Everything that is handed on waits so long, each way.
    pub fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// The connections that there are now stay open and nothing goes through them ever again; new
    /// ones work. What a firewall does that has forgotten them.
    pub fn half_open(&self) {
        let mut state = self.shared.lock();
        for connection in &mut state.connections {
            connection.stuck = true;
        }
    }

    /// Nothing goes through any connection, old or new, and none is closed.
    pub fn freeze(&self) {
        self.shared.lock().frozen = true;
    }

    /// Ends [`Proxy::freeze`]: what was held back arrives late.
    pub fn thaw(&self) {
        self.shared.lock().frozen = false;
        self.shared.changed.notify_all();
    }

    /// The next request that contains this text reaches the server; when the server has answered,
    /// the connection is cut and the answer is lost.
    pub fn lose_answer_to(&self, text: &str) {
        self.shared.lock().losing = Some(text.as_bytes().to_vec());
    }

    /// How many answers were lost that way.
    pub fn answers_lost(&self) -> usize {
        self.shared.lock().lost
    }

    /// How many connections there are now.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse(true);
        self.thaw();
        self.cut();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("proxy state")
    }

    /// Waits while nothing may pass; false when the connection is gone.
    fn may_pass(&self, id: u64) -> bool {
        let held_back = |state: &mut State| state.frozen || state.find(id).is_some_and(|one| one.stuck);
        let state = self.changed.wait_while(self.lock(), |state| held_back(state));
        state.expect("proxy state").find(id).is_some()
    }
}

impl State {
    fn find(&mut self, id: u64) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|one| one.id == id)
    }

    fn cut(&mut self) {
        for connection in self.connections.drain(..) {
            for end in connection.ends {
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        let target = shared.lock().target;
        let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
            continue;
        };
        // Otherwise an answer in two pieces waits for the first one's acknowledgement.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let _ = serve(client, server, shared);
    }
}

fn serve(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let (client_too, server_too) = (client.try_clone()?, server.try_clone()?);
    let ends = [client.try_clone()?, server.try_clone()?];
    let mut state = shared.lock();
    if state.refusing {
        return Ok(());
    }
    state.number += 1;
    let id = state.number;
    let (stuck, loses_answer) = (false, false);
    state.connections.push(Connection {
        id,
        ends,
        stuck,
        loses_answer,
    });
    drop(state);
    for (from, to, way) in [
        (client, server, Way::ToServer),
        (server_too, client_too, Way::ToClient),
    ] {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let _ = hand_on(&from, &to, id, way, &shared);
            close(id, &shared);
        });
    }
    Ok(())
}

fn close(id: u64, shared: &Shared) {
    let mut state = shared.lock();
    if let Some(index) = state.connections.iter().position(|one| one.id == id) {
        let connection = state.connections.swap_remove(index);
        for end in connection.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
    drop(state);
    shared.changed.notify_all();
}

fn hand_on(mut from: &TcpStream, mut to: &TcpStream, id: u64, way: Way, shared: &Shared) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer)?;
        if !shared.may_pass(id) {
            return Ok(());
        }
        if length == 0 {
            return Ok(());
        }
        let delay = shared.lock().delay;
        std::thread::sleep(delay);
        if swallows(&buffer[..length], id, way, shared) {
            return Ok(());
        }
        to.write_all(&buffer[..length])?;
    }
}

/// Whether this is the answer that is to be lost. A request is recognised in one piece, as small
/// ones arrive on loopback; PostgreSQL answers a statement outside of a transaction after its commit.
fn swallows(piece: &[u8], id: u64, way: Way, shared: &Shared) -> bool {
    let mut state = shared.lock();
    match way {
        Way::ToServer => {
            let wanted = state.losing.as_ref();
            if wanted.is_some_and(|text| piece.windows(text.len()).any(|part| part == text.as_slice())) {
                state.losing = None;
                if let Some(connection) = state.find(id) {
                    connection.loses_answer = true;
                }
            }
            false
        }
        Way::ToClient => {
            let loses = state.find(id).is_some_and(|one| one.loses_answer);
            state.lost += usize::from(loses);
            loses
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        proxy.lose_answer_to("two");
        let stream = connect(&proxy);
        assert_eq!(ask(&stream, "one").unwrap(), "one");
        assert!(ask(&stream, "two").is_err());
        assert_eq!(ask(&connect(&proxy), "two").unwrap(), "two");
        assert_eq!(proxy.answers_lost(), 1);
    }
}
