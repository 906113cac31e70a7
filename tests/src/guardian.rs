//! Ends what a test process started, whatever ends the test process.
//!
//! `PR_SET_PDEATHSIG` follows the *thread* that forked and removes no folder, and statics are never
//! dropped. So one small shell listens on a pipe for what was started. The kernel closes the pipe
//! when the test process ends in any way, and then the shell stops the servers, kills the
//! programs and removes the folders.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

const SCRIPT: &str = r#"
programs=' ' folders=''
while read -r verb what; do
  case $verb in
    program) programs="$programs$what " ;;
    gone) programs="${programs%% $what *} ${programs#* $what }" ;;
    folder) folders="$folders $what" ;;
  esac
done
for pid in $programs; do kill -KILL "$pid" 2>/dev/null; done
for folder in $folders; do
  pid=$(head -n 1 "$folder/data/postmaster.pid" 2>/dev/null)
  alive() { [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$folder"; }
  if alive; then kill -QUIT "$pid"; fi
  tries=0
  while alive && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
  if alive; then kill -KILL "$pid"; fi
  rm -rf "$folder"
done
"#;

fn guardian() -> &'static Mutex<Child> {
    static GUARDIAN: OnceLock<Mutex<Child>> = OnceLock::new();
    GUARDIAN.get_or_init(|| {
        let child = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // A group of its own: Ctrl-C at the terminal must not end it before its work.
            .process_group(0)
            .spawn()
            .expect("sh");
        Mutex::new(child)
    })
}

fn tell(verb: &str, what: &dyn std::fmt::Display) {
    let mut child = guardian().lock().expect("guardian");
    let pipe = child.stdin.as_mut().expect("the guardian's pipe");
    writeln!(pipe, "{verb} {what}").expect("the guardian listens");
}

/// The program with this process id is to be killed at the end.
pub fn watch_program(pid: u32) {
    tell("program", &pid);
}

/// That program has ended and its id may belong to another one.
pub fn program_gone(pid: u32) {
    tell("gone", &pid);
}

/// This folder is to be removed at the end, after the server whose data it holds has stopped.
pub fn watch_folder(folder: &Path) {
    tell("folder", &folder.display());
}
