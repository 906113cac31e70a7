//! The built extension where a private server finds it, without touching the system's folders.

use crate::guardian;
use crate::paths::{self, pg_config, stage};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A folder for servers: short (a socket's path holds 107 bytes), enterable, gone at the end.
pub fn temporary_folder(prefix: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::Builder::new()
        .prefix(prefix)
        .tempdir()
        .expect("a temporary folder")
        .keep();
    guardian::watch_folder(&folder);
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).expect("chmod");
    folder
}

/// The versions before this one whose SQL is kept, so that `CREATE EXTENSION … VERSION` can have them.
pub fn released_versions() -> Vec<String> {
    let folder = paths::root().join("sql/released");
    let files = std::fs::read_dir(folder).expect("sql/released");
    let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    let version = |name: String| {
        let rest = name.strip_prefix("pg_worker_ext--")?;
        rest.strip_suffix(".sql").map(str::to_owned)
    };
    let mut versions: Vec<String> = names.filter_map(version).collect();
    versions.retain(|version| version != env!("CARGO_PKG_VERSION"));
    versions.sort();
    versions
}

/// A copy of the staged installation that the server's account may read, with the scripts of earlier
/// versions. The checkout itself may lie in a home folder that nobody else can enter.
fn readable_stage() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let folder = temporary_folder("pgw-ext-");
        let from = stage().join(".");
        run(Command::new("cp").arg("-r").arg(from).arg(&folder));
        let scripts = format!("{}{}/extension", folder.display(), pg_config("--sharedir"));
        for version in released_versions() {
            let script = paths::root().join(format!("sql/released/pg_worker_ext--{version}.sql"));
            run(Command::new("cp").arg(script).arg(&scripts));
        }
        run(Command::new("chmod").arg("-R").arg("a+rX").arg(&folder));
        folder
    })
}

fn run(command: &mut Command) {
    let status = command.status().expect("start a program");
    assert!(status.success(), "{command:?}: {status}");
}

/// The settings with which a server finds the staged control file, SQL and library; none where it was
/// installed for good, which is what `PG_WORKER_STAGE=/` says.
pub fn settings() -> Vec<String> {
    if stage() == Path::new("/") {
        return Vec::new();
    }
    settings_for(readable_stage(), &paths::pg_config_path())
}

/// The same for a platform that runs the extension's script as a superuser, whoever calls CREATE EXTENSION.
pub fn trusting_settings() -> Vec<String> {
    let folder = temporary_folder("pgw-trust-");
    run(Command::new("cp")
        .arg("-r")
        .arg(readable_stage().join("."))
        .arg(&folder));
    let control = format!(
        "{}{}/extension/pg_worker_ext.control",
        folder.display(),
        pg_config("--sharedir")
    );
    let text = std::fs::read_to_string(&control).expect("the control file");
    assert!(text.contains("trusted = false"));
    std::fs::write(&control, text.replace("trusted = false", "trusted = true")).expect("write");
    run(Command::new("chmod").arg("-R").arg("a+rX").arg(&folder));
    settings_for(&folder, &paths::pg_config_path())
}

/// The settings for what was staged at `stage`, which the server's account may read, for this `pg_config`.
pub fn settings_for(stage: &Path, pg_config: &Path) -> Vec<String> {
    let stage = stage.display();
    let ask = |option: &str| paths::ask_pg_config(pg_config, option);
    let library = format!("dynamic_library_path = '{stage}{}:$libdir'", ask("--pkglibdir"));
    let control = if paths::major_of(pg_config) >= 18 {
        format!("extension_control_path = '{stage}{}:$system'", ask("--sharedir"))
    } else {
        // Debian's and Ubuntu's servers have this one; it is their own addition.
        format!("extension_destdir = '{stage}'")
    };
    vec![control, library]
}
