//! How the SQL pieces become one text: for the extension, for its upgrades, or for a server without it.
//!
//! The order: a generated function that lists the game's functions, core pieces numbered 00–79, the
//! kinds, a generated function that calls theirs, core pieces 80–99. Lines between
//! `-- @extension-only`, `-- @upgrade-only` or `-- @sql-only` and `-- @end` go into that text alone.

use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What a text is assembled for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The extension's script, which runs after the functions of the library were created.
    Extension,
    /// The script that brings the code of any earlier version to this one.
    Upgrade,
    /// The single file, with stand-ins for the functions of the library.
    SqlOnly,
}

/// A file of SQL.
pub struct Piece {
    /// Relative to the root of the workspace.
    pub path: String,
    pub text: String,
}

const FIRST_AFTER_KINDS: u32 = 80;
const GAME_FUNCTION: &str = "create or replace function public.";

const EXTENSION_HEAD: &str = "\
-- What CREATE EXTENSION pg_worker_ext runs after the library's functions were created.
-- Generated from sql/core and sql/kinds by `cargo run -p xtask -- sql`: change those instead.
";
const UPGRADE_HEAD: &str = "\
-- What ALTER EXTENSION pg_worker_ext UPDATE runs: the code of this version in the place of the earlier one's.
-- It touches no table: SELECT worker.setup() does, as their owner.
";
/// The call makes the launcher look at this database as soon as the extension is there.
const EXTENSION_TAIL: &str = "select worker.native_info();\n";

const SQL_ONLY_HEAD: &str = "\
-- pg_worker_ext without the native extension: content pools and their job queue in plain SQL.
-- For servers on which no extension can be installed. Run it as the role that is to own
-- everything: psql -f, or paste it into a SQL editor. It can be run again, also to upgrade.
-- Generated from sql/ by `cargo run -p xtask -- sql`: change the pieces there instead.

begin;

do $$
begin
  if pg_catalog.getdatabaseencoding() <> 'UTF8' then
    raise exception 'pg_worker_ext needs a database in UTF8, this one is in %', pg_catalog.getdatabaseencoding()
      using errcode = 'feature_not_supported', hint = 'CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0;';
  end if;
end $$;

create schema if not exists worker;
";
const SQL_ONLY_TAIL: &str = "commit;\n";

impl Piece {
    pub fn read(root: &Path, path: &str) -> Result<Piece> {
        let text = fs::read_to_string(root.join(path)).with_context(|| format!("reading {path}"))?;
        Ok(Piece {
            path: path.to_owned(),
            text,
        })
    }

    /// The file's name without folder and ending.
    fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.strip_suffix(".sql").unwrap_or(name)
    }

    /// The two digits that a core piece's name begins with.
    fn number(&self) -> Result<u32> {
        let digits = self.stem().get(..3).and_then(|head| head.strip_suffix('_'));
        digits
            .and_then(|digits| digits.parse().ok())
            .with_context(|| format!("{}: the name must be like 40_queue.sql", self.path))
    }

    /// The lines that belong into the text for `target`.
    fn lines_for(&self, target: Target) -> Result<String> {
        let mut only = None;
        let mut kept = String::new();
        for line in self.text.lines() {
            match (line.trim(), only) {
                ("-- @extension-only", None) => only = Some(Target::Extension),
                ("-- @upgrade-only", None) => only = Some(Target::Upgrade),
                ("-- @sql-only", None) => only = Some(Target::SqlOnly),
                ("-- @end", Some(_)) => only = None,
                (mark, _) if mark.starts_with("-- @") => {
                    bail!("{}: `{mark}` out of place", self.path);
                }
                (_, None) => writeln!(kept, "{line}")?,
                (_, Some(one)) if one == target => writeln!(kept, "{line}")?,
                _ => {}
            }
        }
        ensure!(only.is_none(), "{}: a region without its `-- @end`", self.path);
        Ok(kept)
    }
}

/// Assembles the text for `target`.
pub fn assemble(target: Target, stub: &Piece, core: &[Piece], kinds: &[Piece]) -> Result<String> {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for piece in core {
        if piece.number()? < FIRST_AFTER_KINDS {
            before.push(piece)
        } else {
            after.push(piece)
        }
    }
    let first = (target == Target::SqlOnly).then_some(stub);
    let body = joined(target, first.into_iter().chain(before).chain(kinds))?;
    let rest = joined(target, after)?;
    let setup_kinds = setup_kinds(kinds)?;
    let game_door = game_door(&game_functions(&format!("{body}{rest}")));
    let (head, tail) = match target {
        Target::Extension => (EXTENSION_HEAD, EXTENSION_TAIL),
        Target::Upgrade => (UPGRADE_HEAD, ""),
        Target::SqlOnly => (SQL_ONLY_HEAD, SQL_ONLY_TAIL),
    };
    Ok(format!(
        "{head}\n-- generated\n\n{game_door}\n{body}-- generated\n\n{setup_kinds}\n{rest}{tail}"
    ))
}

fn joined<'a>(target: Target, pieces: impl IntoIterator<Item = &'a Piece>) -> Result<String> {
    let mut text = String::new();
    for piece in pieces {
        writeln!(
            text,
            "-- {}\n\n{}\n",
            piece.path,
            piece.lines_for(target)?.trim_end()
        )?;
    }
    Ok(text)
}

/// A function that calls the setup function of every kind.
fn setup_kinds(kinds: &[Piece]) -> Result<String> {
    let mut calls = String::new();
    for kind in kinds {
        let function = format!("worker.setup_kind_{}", kind.stem());
        let made = format!("create or replace function {function}(");
        ensure!(
            kind.text.contains(&made),
            "{} does not contain `{made}`",
            kind.path
        );
        writeln!(calls, "  perform {function}();")?;
    }
    if calls.is_empty() {
        calls.push_str("  null;\n");
    }
    Ok(format!(
        "create or replace function worker.setup_kinds() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
{calls}end
$$;

comment on function worker.setup_kinds() is
  'Sets up every shipped kind; part of worker.setup().';
"
    ))
}

/// The names of the functions that a text creates in schema public, sorted.
fn game_functions(text: &str) -> Vec<&str> {
    let heads = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(GAME_FUNCTION));
    let mut names: Vec<&str> = heads
        .filter_map(|rest| Some(rest.split_once('(')?.0.trim()))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A function that returns those names.
fn game_door(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("    '{name}'")).collect();
    format!(
        "create or replace function worker.game_door() returns text[]
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select array[
{}
  ]::text[]
$$;

comment on function worker.game_door() is
  'The names of all functions in schema public that belong to the game''s door.';
",
        quoted.join(",\n")
    )
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
