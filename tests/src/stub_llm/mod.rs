//! A model server for tests: speaks the OpenAI protocol on loopback, answers well by itself and
//! fails on demand. It stands beside a real server, it does not replace one.
//!
//! What it answers to a chat request, in this order: what [`StubLlm::always`] says, the next of
//! [`StubLlm::script`], what [`StubLlm::answers`] makes of the request, a filled schema.

mod fill;
mod reply;

pub use fill::fill;
pub use reply::Reply;

use crate::http::Request;
use crate::wait::{BOUND, wait_until};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Answers = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

#[derive(Default)]
struct State {
    always: Option<Reply>,
    script: VecDeque<Reply>,
    answers: Option<Answers>,
    requests: Vec<Request>,
    /// What other paths than the chat's answer.
    pages: HashMap<String, Value>,
    /// So many chats fit into the context together; and what all of them hear when there are more.
    together: Option<(usize, Reply)>,
    overflows: u64,
    schema: Value,
    number: u64,
    in_flight: usize,
    most_in_flight: usize,
    /// The time of all chat requests together, up to `counted`.
    busy: Duration,
    counted: Option<Instant>,
}

/// The server. Dropping it closes its port.
pub struct StubLlm {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    listener: Option<Listener>,
}

struct Listener {
    closed: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl StubLlm {
    /// A server that answers well.
    pub fn start() -> StubLlm {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("its address");
        let mut server = StubLlm {
            state: Arc::default(),
            address,
            listener: None,
        };
        server.listen(socket);
        server
    }

    /// What `LOCAL_LLM_ENDPOINT` is set to.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Answers for the next chat requests, one each.
    pub fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state().script.extend(replies);
    }

    /// The same answer to every request on every path, until [`StubLlm::recovers`].
    pub fn always(&self, reply: Reply) {
        self.state().always = Some(reply);
    }

    /// Ends [`StubLlm::always`] and forgets what is left of the script.
    pub fn recovers(&self) {
        let mut state = self.state();
        state.always = None;
        state.script.clear();
    }

    /// Answers made from the request.
    pub fn answers(&self, answers: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        self.state().answers = Some(Arc::new(answers));
    }

    /// What it has: the answer of `/v1/models`.
    pub fn lists(&self, models: Value) {
        self.serves("/v1/models", models);
    }

    /// The answer to a GET of this path.
    pub fn serves(&self, path: &str, answer: Value) {
        self.state().pages.insert(path.to_owned(), answer);
    }

    /// From now on so many chats fit into its context together. When there are more, all of them hear `reply`.
    pub fn holds_together(&self, most: usize, reply: Reply) {
        self.state().together = Some((most, reply));
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// The chat requests so far.
    pub fn chats(&self) -> Vec<Request> {
        self.requests().into_iter().filter(Request::is_chat).collect()
    }

    /// The most requests that were in flight together.
    pub fn most_in_flight(&self) -> usize {
        self.state().most_in_flight
    }

    /// How many requests are in flight now.
    pub fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    /// How many chat requests were begun so far.
    pub fn chats_begun(&self) -> u64 {
        self.state().number
    }

    /// How long all chat requests took together so far: two at once for a second are two seconds.
    pub fn busy(&self) -> Duration {
        let mut state = self.state();
        state.count_time();
        state.busy
    }

    /// From now on connections are refused.
    pub fn close(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.closed.store(true, Ordering::SeqCst);
            // accept() has no timeout: one last connection wakes it.
            let _ = TcpStream::connect(self.address);
            listener.thread.join().expect("the stub's listener");
        }
    }

    /// Listens again on the same port.
    pub fn reopen(&mut self) {
        self.listen(TcpListener::bind(self.address).expect("the same port again"));
    }

    fn listen(&mut self, socket: TcpListener) {
        let closed = Arc::new(AtomicBool::new(false));
        let (state, stop) = (Arc::clone(&self.state), Arc::clone(&closed));
        let thread = std::thread::spawn(move || accept(&socket, &state, &stop));
        self.listener = Some(Listener { closed, thread });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("stub state")
    }
}

impl Drop for StubLlm {
    fn drop(&mut self) {
        self.close();
    }
}

impl Request {
    fn is_chat(&self) -> bool {
        self.path.ends_with("/chat/completions")
    }
}

fn accept(socket: &TcpListener, state: &Arc<Mutex<State>>, closed: &AtomicBool) {
    for stream in socket.incoming() {
        if closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let state = Arc::clone(state);
        std::thread::spawn(move || serve(&stream, &state));
    }
}

/// One request per connection. A client that goes away in the middle is the client's business.
fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let Ok(request) = Request::read(stream) else {
        return;
    };
    let chat = request.is_chat();
    let (reply, filled, overflows) = {
        let mut state = state.lock().expect("stub state");
        let (reply, filled) = state.take(&request);
        let overflows = state.overflows;
        state.count_time();
        state.in_flight += usize::from(chat);
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        let too_many = state
            .together
            .as_ref()
            .is_some_and(|(most, _)| state.in_flight > *most);
        state.overflows += u64::from(too_many);
        (reply, filled, overflows)
    };
    let reply = reply.map(|reply| overflowed(state, overflows).filter(|_| chat).unwrap_or(reply));
    let _ = match reply {
        Some(reply) => reply.write(stream, &request, &filled),
        None => {
            let page = state
                .lock()
                .expect("stub state")
                .pages
                .get(&request.path)
                .cloned();
            reply::write_json(stream, 200, &[], &page.unwrap_or_else(models))
        }
    };
    let mut state = state.lock().expect("stub state");
    state.count_time();
    state.in_flight -= usize::from(chat);
}

/// What everybody hears who was in flight when the context was full. Until that was so for the first time all
/// wait for it; from then on each stays for a moment, as the context takes time to fill.
fn overflowed(state: &Mutex<State>, before: u64) -> Option<Reply> {
    let (_, reply) = state.lock().expect("stub state").together.clone()?;
    wait_until("the context was full once", BOUND, || {
        state.lock().expect("stub state").overflows > 0
    });
    std::thread::sleep(Duration::from_millis(100));
    (state.lock().expect("stub state").overflows > before).then_some(reply)
}

impl State {
    /// Whenever the number of requests in flight is about to change.
    fn count_time(&mut self) {
        let now = Instant::now();
        if let Some(before) = self.counted.replace(now) {
            self.busy += (now - before) * self.in_flight as u32;
        }
    }

    /// The reply to a request (none: the list of models) and a well-formed item for it.
    fn take(&mut self, request: &Request) -> (Option<Reply>, Value) {
        self.requests.push(request.clone());
        if !request.is_chat() {
            return (self.always.clone(), Value::Null);
        }
        let schema = &request.body["response_format"]["json_schema"]["schema"];
        if schema.is_object() {
            // A client that has stepped down to plain text still wants an item of this shape.
            self.schema = schema.clone();
        }
        self.number += 1;
        let filled = fill(&self.schema, self.number);
        let reply = self
            .always
            .clone()
            .or_else(|| self.script.pop_front())
            .or_else(|| self.answers.as_ref().map(|answers| answers(request)))
            .unwrap_or(Reply::Good);
        (Some(reply), filled)
    }
}

fn models() -> Value {
    json!({"object": "list", "data": [{"id": "stub-model", "object": "model", "owned_by": "tests"}]})
}
