//! `schema`: the extension's complete SQL, as `cargo pgrx schema` would write it.
//!
//! pgrx leaves a description of every SQL function in a section of the built library. Reading it
//! here spares whoever builds the extension the installation of cargo-pgrx.

use crate::assemble::Target;
use crate::sql;
use anyhow::{Context, Result, anyhow};
use object::{Object, ObjectSection};
use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity, section};
use std::fs;
use std::path::Path;

/// The extension's control file, relative to the root of the workspace.
pub const CONTROL: &str = "pg_worker_ext/pg_worker_ext.control";
/// The version of library, control file and SQL; all members of the workspace share it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Writes the SQL of `library` to `out`.
pub fn write(root: &Path, library: &Path, out: &Path) -> Result<()> {
    let text = text(root, library)?;
    fs::write(out, text).with_context(|| format!("writing {}", out.display()))
}

/// The SQL that turns the code of any earlier version into that of `library`. Every function of a
/// fresh install is written to be put in place of what is there, so it is the same text but for its
/// beginning and its end.
pub fn upgrade(root: &Path, library: &Path) -> Result<String> {
    let fresh = sql::text(root, Target::Extension)?;
    let whole = text(root, library)?;
    let (head, tail) = whole.split_once(fresh.trim()).with_context(|| {
        format!(
            "{} was built from other SQL than stands in sql/: build it again",
            library.display()
        )
    })?;
    let code = sql::text(root, Target::Upgrade)?;
    Ok(format!("{head}{}{tail}", code.trim()))
}

/// The SQL of `library`.
pub fn text(root: &Path, library: &Path) -> Result<String> {
    let bytes = fs::read(library).with_context(|| format!("reading {}", library.display()))?;
    let file = object::File::parse(&*bytes)?;
    let section = file
        .sections()
        .find(|section| section.name().is_ok_and(section::is_schema_section_name))
        .with_context(|| format!("{} was not built with pgrx's SQL descriptions", library.display()))?;
    let control = root.join(CONTROL).to_string_lossy().into_owned();
    let control = ControlFile::from_path_with_cargo_version(&control, VERSION)
        .map_err(|cause| anyhow!("reading {CONTROL}: {cause}"))?;
    let mut entities = vec![SqlGraphEntity::ExtensionRoot(control)];
    entities.extend(section::decode_entities(section.data()?).map_err(|cause| anyhow!("{cause}"))?);
    let sql = PgrxSql::build(entities.into_iter(), "pg_worker_ext".to_owned(), false)
        .map_err(|cause| anyhow!("{cause}"))?;
    sql.to_sql().map_err(|cause| anyhow!("{cause}"))
}
