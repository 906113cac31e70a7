//! Chores of this workspace that cargo alone cannot do:
//!
//! - `cargo run -p xtask -- sql [--check]` assembles the pieces under `sql/` into the SQL of the
//!   extension and the single file for servers where no extension can be installed;
//! - `… -- schema LIB OUT` writes the extension's complete SQL;
//! - `… -- release LIB` freezes the SQL of this version below `sql/released/`;
//! - `… -- install --pg-config P [--destdir D] [--profile debug|release] [--lib LIB]` puts the built
//!   extension where a server finds it.

mod assemble;
mod install;
mod release;
mod schema;
mod sql;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

const USAGE: &str = "usage: cargo run -p xtask -- COMMAND
  sql [--check]          assemble sql/extension.sql and sql/pg_worker_ext.sql from their pieces,
                         or only check that they are up to date and
                         what was released under this version
  schema LIB OUT         write the extension's complete SQL, read from the built library
  release LIB            freeze the SQL of this version in sql/released/, never to be written again
  install --pg-config P  copy library, control file and SQL into the folders that P names
          [--destdir D]  … below D
          [--profile debug|release]  the library of this build (default: release)
          [--lib LIB]    … or this library";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["sql"] => sql::write(&root()),
        ["sql", "--check"] => sql::check(&root()).and_then(|()| release::check(&root())),
        ["schema", library, out] => schema::write(&root(), Path::new(library), Path::new(out)),
        ["release", library] => release::write(&root(), Path::new(library)),
        ["install", ref options @ ..] => install::run(&root(), options),
        _ => bail!("{USAGE}"),
    }
}

/// The root of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
