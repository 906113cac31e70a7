//! Time moved for one database only, by shifting everything that is stored in it. Nothing that a user
//! installs knows of this: the server's clock goes on as ever, only the past lies further back.

use crate::Session;
use chrono::{DateTime, Utc};

const COLUMNS: &str = "
    select format('%I.%I', n.nspname, c.relname),
           string_agg(format('%1$I = %2$s', a.attname, replace($1, '{t}', format('%I', a.attname))), ', ')
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid
     where n.nspname in ('public', 'worker') and c.relkind = 'r'
       and a.atttypid = 'timestamptz'::regtype and not a.attisdropped
     group by 1";

/// Lets so many seconds have passed: every stored time lies so much further back.
pub fn let_time_pass(session: &mut Session, seconds: f64) {
    let sql = rewriting(session, &format!("{{t}} - interval '{seconds} seconds'"));
    session.run(&sql);
}

/// Statements that replace every stored time `{t}` of the database by an expression, as if by
/// nobody: no trigger fires.
pub fn rewriting(session: &mut Session, expression: &str) -> String {
    let tables = session.rows(COLUMNS, &[&expression]);
    let updates: String = tables
        .iter()
        .map(|row| {
            format!(
                "update {} set {};\n",
                row.get::<_, String>(0),
                row.get::<_, String>(1)
            )
        })
        .collect();
    format!("begin; set local session_replication_role = replica;\n{updates}commit")
}

/// The server's clock.
pub fn clock(session: &mut Session) -> DateTime<Utc> {
    session.value("select clock_timestamp()", &[])
}
