//! The threads of the proxy: one takes connections, two for each hand on what comes.

use super::{Connection, Shared, State, Trap};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    ToServer,
    ToClient,
}

pub(super) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
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
    let (stuck, answer) = (false, None);
    state.connections.push(Connection {
        id,
        ends,
        stuck,
        answer,
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
        let delay = shared.lock().delay;
        std::thread::sleep(delay);
        let cut = shared.lock().spring_trap(&buffer[..length], id, way);
        if cut || length == 0 || !shared.may_pass(id) {
            return Ok(());
        }
        to.write_all(&buffer[..length])?;
    }
}

impl State {
    /// Whether the connection is to be cut now. A request is recognised in one piece, as small ones arrive
    /// on loopback; PostgreSQL answers a statement outside of a transaction after its commit.
    fn spring_trap(&mut self, piece: &[u8], id: u64, way: Way) -> bool {
        let held = match way {
            Way::ToServer => {
                let here =
                    |(text, _): &mut (Vec<u8>, Trap)| piece.windows(text.len()).any(|part| part == text);
                let Some((_, trap)) = self.trap.take_if(here) else {
                    return false;
                };
                if let Some(connection) = self.find(id) {
                    connection.answer = Some(trap);
                }
                trap == Trap::HoldRequest
            }
            Way::ToClient => self.find(id).is_some_and(|one| one.answer.is_some()),
        };
        if !held {
            return false;
        }
        self.trapped += 1;
        let trap = self.find(id).and_then(|connection| {
            connection.stuck = true;
            connection.answer.take()
        });
        trap == Some(Trap::LoseAnswer)
    }
}
