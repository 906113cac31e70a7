//! A TCP proxy that breaks the way networks break: it cuts connections, refuses new ones, delays
//! what it hands on, stops handing on without closing (a half-open socket), or loses one answer.

mod pump;
#[cfg(test)]
mod tests;

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
    /// What is done to the next request that contains a text.
    trap: Option<(Vec<u8>, Trap)>,
    /// How often a trap has shut.
    trapped: usize,
    connections: Vec<Connection>,
    number: u64,
}

struct Connection {
    id: u64,
    ends: [TcpStream; 2],
    stuck: bool,
    /// Its request went through; this is for the answer.
    answer: Option<Trap>,
}

/// Where a request, or the answer to it, stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trap {
    /// The request never arrives, and nothing more on its connection, which stays open.
    HoldRequest,
    /// The server does its work; the answer never arrives, and the connection stays open.
    HoldAnswer,
    /// The server does its work; then the connection is cut.
    LoseAnswer,
}

impl Proxy {
    /// In front of a port on 127.0.0.1.
    pub fn start(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared::default());
        shared.lock().target = target;
        let inner = Arc::clone(&shared);
        std::thread::spawn(move || pump::accept(&listener, &inner));
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

    /// Sets a trap for the next request that contains this text.
    pub fn trap(&self, text: &str, trap: Trap) {
        self.shared.lock().trap = Some((text.as_bytes().to_vec(), trap));
    }

    /// How many requests went into a trap. With [`Trap::HoldAnswer`] and [`Trap::LoseAnswer`] the
    /// server has answered by then.
    pub fn trapped(&self) -> usize {
        self.shared.lock().trapped
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
