//! Who may do what: nothing for everybody, and for a game's backend and an executor what each needs and
//! no more. On a server as Supabase sets it up, where all of schema public is given to the API's roles.

mod backend;
mod closed;
mod executor;
mod game_functions;
mod game_tables;
mod lists;
mod names;
mod owner;
mod settings;

use pg_worker_tests::{Cluster, Database, Session};
use std::sync::OnceLock;

/// The roles that an API lends to anybody, its trusted side, and roles of the tests.
const ROLES: &str = "
    create role anon; create role authenticated; create role service_role bypassrls;
    create role stranger login; create role game login; create role gpu login";

/// What is made in schema public from now on is everybody's.
const GENEROUS: &str = "
    grant usage on schema public to anon, authenticated, service_role;
    alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
    alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
    alter default privileges in schema public grant all on functions to anon, authenticated, service_role";

fn generous() -> Database<'static> {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| {
        let cluster = Cluster::own(&["pg_worker_ext.background_worker = off"]);
        cluster.session("postgres").run(ROLES);
        cluster
    });
    let database = Database::empty(cluster);
    database.session().run(GENEROUS);
    database
}

fn extension() -> Database<'static> {
    let database = generous();
    database.session().run("create extension pg_worker_ext");
    database
}

fn sql_only() -> Database<'static> {
    let database = generous();
    database.install_sql_only();
    database
}

/// Tests that get a database of each install on such a server.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_extension {
            $(#[test]
            fn $name() {
                super::$name(&crate::rights::extension());
            })+
        }
        mod on_sql_only {
            $(#[test]
            fn $name() {
                super::$name(&crate::rights::sql_only());
            })+
        }
    };
}
use on_both;

/// Our functions that a role may call, by name with argument types.
fn callable(session: &mut Session, role: &str) -> Vec<String> {
    let sql = "select f::text from worker.our_functions() f
                where has_function_privilege($1::text::name, f, 'execute') order by 1";
    session.column(sql, &[&role])
}

/// Our tables and views with what a role may do to them, also by single columns.
fn usable(session: &mut Session, role: &str) -> Vec<String> {
    let sql = "select format('%s %s', r, p)
                 from worker.our_relations() r
                cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p
                where has_table_privilege($1::text::name, r, p)
                   or (p in ('select', 'insert', 'update', 'references') and has_any_column_privilege($1::text::name, r, p))
                order by 1";
    session.column(sql, &[&role])
}

/// The role is not allowed to.
#[track_caller]
fn denied(session: &mut Session, statement: &str) {
    let refusal = session.refused(statement, &[]);
    assert_eq!(refusal.code(), "42501", "{statement}: {refusal:?}");
}
