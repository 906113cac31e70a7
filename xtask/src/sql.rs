//! `sql`: reads the pieces and writes, or checks, the two assembled files.

use crate::assemble::{Piece, Target, assemble};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

const OUTPUTS: [(&str, Target); 2] = [
    ("sql/extension.sql", Target::Extension),
    ("sql/pg_worker_ext.sql", Target::SqlOnly),
];

/// Writes both files, touching only what changes (a touched file rebuilds the library).
pub fn write(root: &Path) -> Result<()> {
    for (path, text) in outputs(root)? {
        if fs::read_to_string(root.join(path)).is_ok_and(|old| old == text) {
            println!("{path} is up to date");
        } else {
            fs::write(root.join(path), text).with_context(|| format!("writing {path}"))?;
            println!("{path} written");
        }
    }
    Ok(())
}

/// Fails if one of the files is not what its pieces make.
pub fn check(root: &Path) -> Result<()> {
    for (path, text) in outputs(root)? {
        if fs::read_to_string(root.join(path)).ok().as_deref() != Some(&text) {
            bail!("{path} is stale: run `cargo run -p xtask -- sql` and commit the result");
        }
    }
    Ok(())
}

fn outputs(root: &Path) -> Result<Vec<(&'static str, String)>> {
    OUTPUTS
        .into_iter()
        .map(|(path, target)| Ok((path, text(root, target)?)))
        .collect()
}

/// The text for `target`, assembled from the pieces.
pub fn text(root: &Path, target: Target) -> Result<String> {
    let stub = Piece::read(root, "sql/native_stub.sql")?;
    let core = folder(root, "sql/core")?;
    let kinds = folder(root, "sql/kinds")?;
    assemble(target, &stub, &core, &kinds)
}

/// The pieces of a folder, in the order of their names.
fn folder(root: &Path, folder: &str) -> Result<Vec<Piece>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root.join(folder)).with_context(|| format!("reading {folder}"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".sql") {
            paths.push(format!("{folder}/{name}"));
        }
    }
    paths.sort();
    paths.iter().map(|path| Piece::read(root, path)).collect()
}
