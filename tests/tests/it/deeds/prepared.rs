//! A server of its own with a game in the middle of its life, whose tables belong to an ordinary role, and the
//! catalog's word on what our tables are.

use pg_worker_tests::{Cluster, Session};

/// Who owns the tables; who is a game's backend; who is an executor.
pub const OWNER: &str = "keeper";
pub const GAME: &str = "keeper_game";
pub const GPU: &str = "keeper_gpu";

const GAME_OF_ITS_OWN: &str = include_str!("prepared.sql");

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Install {
    Extension,
    SqlOnly,
}

/// One of our tables.
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    /// The columns of its primary key.
    pub key: Vec<String>,
}

pub struct Column {
    pub name: String,
    pub of: String,
}

/// The roles, in a server that has none of them yet.
pub fn make_roles(cluster: &Cluster) {
    // The owner steps into the other two, so that all verbs run in one transaction. What they may do he has not.
    cluster.session("postgres").run(&format!(
        "create role {OWNER} login noinherit; create role {GAME} login; create role {GPU} login; grant {GAME}, {GPU} to {OWNER}"
    ));
}

/// A database in which all of it is there, committed in one transaction.
pub fn prepare(cluster: &Cluster, name: &str, install: Install) {
    let mut admin = cluster.session("postgres");
    admin.run(&format!(
        "create database {name} template template0 owner {OWNER}"
    ));
    let mut session = cluster.session(name);
    session.run(&format!("grant all on schema public to {OWNER}"));
    if install == Install::SqlOnly {
        let file = pg_worker_tests::paths::read("sql/pg_worker_ext.sql");
        Session::open(cluster.config(name).user(OWNER)).run(&file);
    }
    session.run("begin");
    if install == Install::Extension {
        session.run(&format!(
            "set local pg_worker_ext.owner = '{OWNER}'; create extension pg_worker_ext"
        ));
    }
    session.run(&format!(
        "set local session authorization {OWNER};
         select worker.grant_backend('{GAME}'), worker.grant_executor('{GPU}');
         {GAME_OF_ITS_OWN}
         commit"
    ));
}

/// Our tables with their columns, as they are in a prepared database.
pub fn tables(session: &mut Session) -> Vec<Table> {
    let sql = "select r::oid, n.nspname || '.' || quote_ident(c.relname),
                      array(select a.attname::text from pg_constraint k, unnest(k.conkey) with ordinality u(n, o)
                              join pg_attribute a on a.attnum = u.n and a.attrelid = r
                             where k.conrelid = r and k.contype = 'p' order by u.o)
                 from worker.our_relations() r join pg_class c on c.oid = r join pg_namespace n on n.oid = c.relnamespace
                where c.relkind = 'r' order by 2";
    let rows = session.rows(sql, &[]);
    let of = |row: &postgres::Row| Table {
        name: row.get(1),
        key: row.get(2),
        columns: columns(session, row.get(0)),
    };
    rows.iter().map(of).collect()
}

fn columns(session: &mut Session, table: u32) -> Vec<Column> {
    let sql = "select quote_ident(attname), format_type(atttypid, null) from pg_attribute
                where attrelid = $1 and attnum > 0 and not attisdropped order by attnum";
    let rows = session.rows(sql, &[&table]);
    let column = |row: &postgres::Row| Column {
        name: row.get(0),
        of: row.get(1),
    };
    rows.iter().map(column).collect()
}

/// The trigger functions of schema worker.
pub fn trigger_functions(session: &mut Session) -> Vec<String> {
    session.column(
        "select format('worker.%I', proname) from pg_proc
          where pronamespace = 'worker'::regnamespace and prorettype = 'trigger'::regtype order by 1",
        &[],
    )
}
