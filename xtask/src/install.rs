//! `install`: puts the built extension where a server finds it, or below a folder of its own, with a
//! way there from every released version.

use crate::release;
use crate::schema::{self, CONTROL, VERSION};
use anyhow::{Context, Result, bail, ensure};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "pg_worker_ext";

struct Options {
    pg_config: PathBuf,
    destdir: Option<PathBuf>,
    profile: String,
    library: Option<PathBuf>,
}

/// Copies library, control file, SQL and upgrade scripts.
pub fn run(root: &Path, words: &[&str]) -> Result<()> {
    let options = Options::parse(words)?;
    let library = options
        .library
        .clone()
        .unwrap_or_else(|| built(root, &options.profile));
    ensure!(
        library.exists(),
        "{} is not there: build it with `cargo build -p {NAME}`{}",
        library.display(),
        if options.profile == "release" {
            " --release"
        } else {
            ""
        }
    );
    let libraries = options.folder("--pkglibdir")?;
    let extensions = options.folder("--sharedir")?.join("extension");
    put(
        &libraries.join(format!("{NAME}{DLL_SUFFIX}")),
        &fs::read(&library)?,
    )?;
    let control = fs::read_to_string(root.join(CONTROL))?.replace("@CARGO_VERSION@", VERSION);
    put(&extensions.join(format!("{NAME}.control")), control.as_bytes())?;
    let sql = schema::text(root, &library)?;
    put(&extensions.join(format!("{NAME}--{VERSION}.sql")), sql.as_bytes())?;
    // Code is replaced as a whole, so one script leads here from each version there ever was.
    let upgrade = schema::upgrade(root, &library)?;
    for from in release::versions(root)?.iter().filter(|from| *from != VERSION) {
        put(
            &extensions.join(format!("{NAME}--{from}--{VERSION}.sql")),
            upgrade.as_bytes(),
        )?;
    }
    Ok(())
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options> {
        let (mut pg_config, mut destdir, mut library) = (None, None, None);
        let mut profile = "release".to_owned();
        for pair in words.chunks(2) {
            match *pair {
                ["--pg-config", path] => pg_config = Some(PathBuf::from(path)),
                ["--destdir", path] => destdir = Some(PathBuf::from(path)),
                ["--lib", path] => library = Some(PathBuf::from(path)),
                ["--profile", name @ ("debug" | "release")] => profile = name.to_owned(),
                _ => bail!("install: {} is not understood\n{}", pair.join(" "), crate::USAGE),
            }
        }
        let pg_config = pg_config.context("install: --pg-config is missing")?;
        Ok(Options {
            pg_config,
            destdir,
            profile,
            library,
        })
    }

    /// A folder that pg_config names, below the destination.
    fn folder(&self, which: &str) -> Result<PathBuf> {
        let tool = self.pg_config.display();
        let output = Command::new(&self.pg_config)
            .arg(which)
            .output()
            .with_context(|| format!("running {tool}"))?;
        ensure!(output.status.success(), "{tool} {which} failed");
        let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim());
        Ok(match &self.destdir {
            None => folder,
            Some(destination) => destination.join(folder.strip_prefix("/").unwrap_or(&folder)),
        })
    }
}

/// The library of a build, in cargo's target folder.
fn built(root: &Path, profile: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target
        .join(profile)
        .join(format!("{DLL_PREFIX}{NAME}{DLL_SUFFIX}"))
}

/// Puts a file in place of an old one, which is never written into: a running server has the old
/// library mapped and would crash.
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if path.exists() {
            fs::remove_file(path)?;
        }
        fs::write(path, bytes)
    };
    written().with_context(|| format!("writing {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}
