//! The real executor as a child process: started on a database, watched through its log and
//! `/health`, stopped politely or killed.

use crate::cluster::{free_port, send_signal};
use crate::http::{self, Answer};
use crate::wait::{BOUND, wait_for, wait_until};
use crate::{Database, StubLlm, guardian, paths};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

/// A running executor. Dropping it kills it.
pub struct Executor {
    child: Child,
    port: u16,
    log: Arc<Mutex<String>>,
}

/// What an executor is started with: the real program in a clean environment.
pub struct Setup {
    command: Command,
    port: u16,
}

impl Executor {
    /// For a database, as the superuser, with the built-in generator unless [`Setup::model`] is
    /// called. Nothing is inherited from the tester's own environment.
    pub fn on(database: &Database) -> Setup {
        Executor::without_database().env("DATABASE_URL", &database.url())
    }

    /// With no `DATABASE_URL`.
    pub fn without_database() -> Setup {
        let port = free_port();
        let mut command = Command::new(paths::executor());
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("WORKER_PORT", port.to_string());
        command.current_dir("/").stdin(Stdio::null());
        Setup { command, port }
    }

    /// `/health`, as soon as it answers.
    #[track_caller]
    pub fn health(&self) -> Answer {
        wait_for("the executor's /health answers", BOUND, || {
            http::get(self.port, "/health").ok()
        })
    }

    /// GET of another path.
    pub fn get(&self, path: &str) -> std::io::Result<Answer> {
        http::get(self.port, path)
    }

    /// What it has logged so far, both streams together.
    pub fn log(&self) -> String {
        self.log.lock().expect("log").clone()
    }

    /// Waits for a line of the log.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        wait_until(
            &format!("'{text}' in the executor's log:\n{}", self.log()),
            BOUND,
            || self.log().contains(text),
        );
    }

    /// SIGTERM, then its exit status. Panics if it does not end.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.wait()
    }

    /// Waits for its own end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the executor ends", BOUND, || {
            self.child.try_wait().expect("wait for the executor")
        })
    }

    /// Any signal: SIGSTOP freezes it, SIGCONT thaws it.
    pub fn signal(&self, signal: i32) {
        send_signal(self.child.id(), signal);
    }

    /// `kill -9`.
    pub fn kill(self) {
        drop(self);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port of its `/health`.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        guardian::program_gone(self.child.id());
        if std::thread::panicking() {
            eprintln!("what executor {} said:\n{}", self.child.id(), self.log());
        }
    }
}

impl Setup {
    /// A further variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.command.env(name, value);
        self
    }

    /// A further argument, before or after the command's name as it is written here.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Setup {
        self.command.arg(argument);
        self
    }

    /// With a model server instead of the built-in generator.
    #[must_use]
    pub fn model(self, server: &StubLlm) -> Setup {
        self.env("LOCAL_LLM_ENDPOINT", &server.url())
    }

    /// `run`, in the background.
    #[must_use]
    pub fn start(self) -> Executor {
        self.arg("run").spawn()
    }

    /// Whatever the arguments say, in the background.
    #[must_use]
    pub fn spawn(mut self) -> Executor {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("start the executor");
        guardian::watch_program(child.id());
        let log = Arc::default();
        collect(child.stdout.take().expect("stdout"), &log);
        collect(child.stderr.take().expect("stderr"), &log);
        Executor {
            child,
            port: self.port,
            log,
        }
    }

    /// Runs one command (`once`, `doctor`, …) to its end, two minutes at most, and gives what it
    /// printed. Exit code 124 means that it did not end.
    #[track_caller]
    pub fn output(self, command: &str) -> Output {
        let mut bounded = Command::new("timeout");
        bounded
            .args(["-k", "5", "120"])
            .arg(self.command.get_program())
            .args(self.command.get_args());
        bounded
            .arg(command)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null());
        bounded.envs(
            self.command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        bounded.output().expect("start the executor")
    }

    /// The same, for a command that must succeed: its standard output.
    #[track_caller]
    pub fn succeeds(self, command: &str) -> String {
        let out = self.output(command);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(
            out.status.success(),
            "{command}: {text}{}",
            String::from_utf8_lossy(&out.stderr)
        );
        text
    }

    /// The same, for a command that must fail: its exit code and everything that it said.
    #[track_caller]
    pub fn fails(self, command: &str) -> (Option<i32>, String) {
        let out = self.output(command);
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        assert!(!out.status.success(), "{command} succeeded: {text}");
        (out.status.code(), text)
    }
}

fn collect(stream: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("log");
            log.push_str(&line);
            log.push('\n');
        }
    });
}
