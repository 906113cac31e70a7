//! A real llama-server with the made model of `tests/llama`, on loopback, private to one test.
//!
//! `scripts/suites/llama.sh` gets the server and names its starter in `PG_WORKER_LLAMA`.

use crate::cluster::{free_port, send_signal};
use crate::wait::{BOUND, wait_until};
use crate::{guardian, http};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Tokens that fit into all slots together.
const CONTEXT: usize = 16384;

/// A running, frozen or stopped server. Dropping it kills it.
pub struct LlamaServer {
    child: Option<Child>,
    port: u16,
    arguments: Vec<String>,
    log: File,
}

/// The program that starts the server, where there is one.
fn starter() -> Option<PathBuf> {
    std::env::var_os("PG_WORKER_LLAMA").map(Into::into)
}

impl LlamaServer {
    /// Ready, with so many slots, so that it writes so many answers at once.
    #[track_caller]
    pub fn start(slots: usize) -> LlamaServer {
        LlamaServer::start_with(slots, &[])
    }

    /// The same with further arguments.
    #[track_caller]
    pub fn start_with(slots: usize, more: &[&str]) -> LlamaServer {
        let mut server = LlamaServer::prepare(slots, more);
        server.restart();
        server
    }

    /// Not started yet: nobody listens.
    #[track_caller]
    pub fn prepare(slots: usize, more: &[&str]) -> LlamaServer {
        let port = free_port();
        let (context, slots, port_text) = (CONTEXT.to_string(), slots.to_string(), port.to_string());
        // One thread: on a busy machine two wait for each other, which stalls the answers for seconds.
        let mut arguments: Vec<&str> = vec![
            "--alias", "words", "-np", &slots, "-c", &context, "-t", "1", "-tb", "1",
        ];
        arguments.extend(["--host", "127.0.0.1", "--port", &port_text, "--offline"]);
        arguments.extend(more);
        LlamaServer {
            child: None,
            port,
            arguments: arguments.into_iter().map(ToOwned::to_owned).collect(),
            log: tempfile::tempfile().expect("a log file"),
        }
    }

    /// Starts it, new or stopped, on its port, and waits until it is ready.
    #[track_caller]
    pub fn restart(&mut self) {
        self.launch();
        wait_until("the llama-server is ready", 2 * BOUND, || {
            self.assert_runs();
            self.health() == Some(200)
        });
    }

    /// Starts it and freezes it while it still loads its model: it answers 503 and goes on loading
    /// only while [`LlamaServer::crawl`] is called.
    #[track_caller]
    pub fn restart_loading(&mut self) {
        let end = Instant::now() + 2 * BOUND;
        loop {
            self.launch();
            if self.loads_until_frozen() {
                return;
            }
            // Too fast for us this time.
            assert!(Instant::now() < end, "the llama-server was never seen loading");
            self.stop();
        }
    }

    fn loads_until_frozen(&self) -> bool {
        loop {
            self.assert_runs();
            match self.health() {
                Some(503) => break,
                Some(_) => return false,
                None => {}
            }
        }
        self.signal(libc::SIGSTOP);
        true
    }

    /// Lets a frozen server run for a moment.
    pub fn crawl(&self) {
        self.signal(libc::SIGCONT);
        std::thread::sleep(Duration::from_millis(1));
        self.signal(libc::SIGSTOP);
    }

    /// Lets a frozen server run on, and waits until it is ready.
    #[track_caller]
    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
        wait_until("the llama-server is ready", 2 * BOUND, || {
            self.health() == Some(200)
        });
    }

    fn launch(&mut self) {
        self.stop();
        let program = starter().expect("PG_WORKER_LLAMA: run scripts/suites/llama.sh");
        let log = || self.log.try_clone().expect("a log file");
        let child = Command::new(program)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .expect("start the llama-server");
        guardian::watch_program(child.id());
        self.child = Some(child);
    }

    #[track_caller]
    fn assert_runs(&self) {
        let pid = self.child.as_ref().expect("started").id();
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(
            !state.is_empty() && !state.contains(") Z "),
            "the llama-server ended:\n{}",
            self.log()
        );
    }

    /// `kill -9`, as when the machine is switched off.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            guardian::program_gone(child.id());
        }
    }

    /// Any signal: SIGSTOP freezes it, SIGCONT thaws it.
    pub fn signal(&self, signal: i32) {
        send_signal(self.child.as_ref().expect("it runs").id(), signal);
    }

    /// The status of its `/health`; nothing while nobody listens.
    pub fn health(&self) -> Option<u16> {
        http::get(self.port, "/health").ok().map(|answer| answer.status)
    }

    /// Has a frozen server been sent something that it has not read yet?
    pub fn is_asked(&self) -> bool {
        // The kernel's table: local address, remote address, state (01: established), tx:rx queue.
        let table = std::fs::read_to_string("/proc/net/tcp").expect("/proc/net/tcp");
        let here = format!(":{:04X}", self.port);
        table.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, state, queues) = (fields.next(), fields.nth(1), fields.next());
            let waiting = queues.and_then(|queues| queues.split_once(':'));
            local.is_some_and(|local| local.ends_with(&here))
                && state == Some("01")
                && waiting.is_some_and(|(_, unread)| unread != "00000000")
        })
    }

    /// How many slots write an answer now.
    #[track_caller]
    pub fn busy_slots(&self) -> usize {
        let slots = http::get(self.port, "/slots").expect("/slots answers").json();
        let slots = slots.as_array().expect("a list of slots");
        slots.iter().filter(|slot| slot["is_processing"] == true).count()
    }

    /// Sends a chat request and leaves the answer unread; dropping the stream is going away.
    #[track_caller]
    pub fn ask(&self, body: &Value) -> TcpStream {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connect");
        stream.set_read_timeout(Some(BOUND)).expect("a bound");
        let length = body.len();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream
            .write_all((head + &body).as_bytes())
            .expect("send the request");
        stream
    }

    /// Sends a chat request and reads the whole answer: its status and its body.
    #[track_caller]
    pub fn answer(&self, body: &Value) -> (u16, Value) {
        let mut text = String::new();
        self.ask(body).read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (
            status.expect("a status"),
            serde_json::from_str(body).expect("JSON"),
        )
    }

    /// What `LOCAL_LLM_ENDPOINT` is set to.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        let mut text = vec![0; 1 << 16];
        let end = self.log.metadata().map_or(0, |data| data.len());
        let start = end.saturating_sub(text.len() as u64);
        let length = self.log.read_at(&mut text, start).unwrap_or(0);
        String::from_utf8_lossy(&text[..length]).into_owned()
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        self.stop();
    }
}
