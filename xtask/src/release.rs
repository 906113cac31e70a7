//! `release`: freezes the SQL of this version below `sql/released/`, so that upgrades have something
//! to start from. What is frozen is never written again.

use crate::schema::{self, VERSION};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;

const FOLDER: &str = "sql/released";
/// The extension's script, complete, as CREATE EXTENSION runs it.
const EXTENSION: &str = "pg_worker_ext";
/// The single file for servers where no extension can be installed.
const SQL_ONLY: &str = "sql_only";

/// Freezes both texts of this version; the extension's is read from the built library.
pub fn write(root: &Path, library: &Path) -> Result<()> {
    freeze(root, EXTENSION, VERSION, &schema::text(root, library)?)?;
    freeze(root, SQL_ONLY, VERSION, &read(root, "sql/pg_worker_ext.sql")?)
}

/// Fails if the assembled SQL is not what was released under this version.
pub fn check(root: &Path) -> Result<()> {
    let extension = read(root, "sql/extension.sql")?;
    let sql_only = read(root, "sql/pg_worker_ext.sql")?;
    check_version(root, VERSION, &extension, &sql_only)
}

fn freeze(root: &Path, what: &str, version: &str, text: &str) -> Result<()> {
    let path = frozen(what, version);
    match fs::read_to_string(root.join(&path)) {
        Ok(old) if old == text => println!("{path} is frozen already"),
        Ok(_) => bail!("{}", changed(&path, version)),
        Err(_) => {
            fs::create_dir_all(root.join(FOLDER))?;
            fs::write(root.join(&path), text).with_context(|| format!("writing {path}"))?;
            println!("{path} written: commit it");
        }
    }
    Ok(())
}

fn check_version(root: &Path, version: &str, extension: &str, sql_only: &str) -> Result<()> {
    if versions(root)?.iter().any(|name| name == version) {
        // The complete script has the library's functions around it, in no stable order.
        let path = frozen(EXTENSION, version);
        ensure!(
            read(root, &path)?.contains(extension.trim()),
            changed(&path, version)
        );
        let path = frozen(SQL_ONLY, version);
        ensure!(read(root, &path)? == sql_only, changed(&path, version));
    }
    Ok(())
}

/// The released versions, the earliest first.
pub fn versions(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(FOLDER);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let version = name
            .strip_prefix(EXTENSION)
            .and_then(|rest| rest.strip_prefix("--"))
            .and_then(|rest| rest.strip_suffix(".sql"));
        found.extend(version.map(str::to_owned));
    }
    // Not as text: 0.10.0 comes after 0.9.0.
    found.sort_by_key(|version| {
        version
            .split('.')
            .map(|part| part.parse().unwrap_or(0))
            .collect::<Vec<u32>>()
    });
    Ok(found)
}

fn frozen(what: &str, version: &str) -> String {
    format!("{FOLDER}/{what}--{version}.sql")
}

fn changed(path: &str, version: &str) -> String {
    format!("{path} was released and the SQL of today differs from it: raise the version above {version}")
}

fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("reading {path}"))
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
