//! A server as Supabase sets it up: `postgres` is no superuser, the API's roles and their limits, default
//! privileges that open schema public to everybody (as shipped) or to nobody (as hosted projects have it since
//! 2026), extensions in a schema of their own, and CREATE EXTENSION whose script runs as a superuser.

pub mod api;
mod cron;
mod linter;
mod platform;
mod transcript;

use pg_worker_tests::{Cluster, Database, Session, install};

/// The bootstrap superuser is supabase_admin there. A superuser cannot rename himself: another one does it.
const HANDOVER: &str = "alter role postgres rename to supabase_admin;
    create role postgres login createdb createrole replication bypassrls";

const ROLES: &str = "
    create role anon noinherit; create role authenticated noinherit; create role service_role noinherit bypassrls;
    create role authenticator login noinherit;
    grant anon, authenticated, service_role to authenticator;
    grant anon, authenticated, service_role to postgres with admin option;
    grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;
    alter role authenticator set statement_timeout = '8s'; alter role authenticator set lock_timeout = '8s';
    alter role anon set statement_timeout = '3s'; alter role authenticated set statement_timeout = '8s'";

/// What is made in schema public is everybody's.
const SHIPPED: &str = "
    alter default privileges for role postgres, supabase_admin in schema public grant all on tables to postgres, anon, authenticated, service_role;
    alter default privileges for role postgres, supabase_admin in schema public grant all on functions to postgres, anon, authenticated, service_role;
    alter default privileges for role postgres, supabase_admin in schema public grant all on sequences to postgres, anon, authenticated, service_role";

/// The game's own tables, each with row level security and not one policy.
const GAME: &str = "
    create table characters (id uuid primary key default gen_random_uuid(), name text, campaign_seed text);
    create table dm_conversations (id uuid primary key default gen_random_uuid(), character_id uuid, role text, content text, created_at timestamptz default now());
    create table journal_entries (id uuid primary key default gen_random_uuid(), character_id uuid, entry_type text, content text, metadata jsonb, created_at timestamptz default now());
    alter table characters enable row level security;
    alter table dm_conversations enable row level security;
    alter table journal_entries enable row level security";

/// Default privileges in schema public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Public {
    Shipped,
    Closed,
}

/// How it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    Extension,
    SqlOnly,
}

/// Every way in which a project may have it.
pub const WAYS: [(Public, Install); 4] = [
    (Public::Shipped, Install::Extension),
    (Public::Closed, Install::Extension),
    (Public::Shipped, Install::SqlOnly),
    (Public::Closed, Install::SqlOnly),
];

/// A server of Supabase's kind.
pub fn cluster(settings: &[&str]) -> Cluster {
    let trusting = install::trusting_settings();
    let settings: Vec<&str> = trusting
        .iter()
        .map(String::as_str)
        .chain(settings.iter().copied())
        .collect();
    let cluster = Cluster::own(&settings);
    cluster
        .session("postgres")
        .run("create role handover superuser login");
    let mut other = Session::open(cluster.config("postgres").user("handover"));
    other.run(HANDOVER);
    drop(other);
    let mut admin = admin(&cluster, "postgres");
    admin.run("drop role handover");
    admin.run(ROLES);
    cluster
}

/// A session of the superuser, whom no user of Supabase is.
pub fn admin(cluster: &Cluster, database: &str) -> Session {
    Session::open(cluster.config(database).user("supabase_admin"))
}

/// A database of `postgres` with the game's tables and this install.
pub fn database(cluster: &Cluster, public: Public, install: Install) -> Database<'_> {
    database_with(cluster, public, install, GAME)
}

/// The same with other tables that were there before.
pub fn database_with<'c>(
    cluster: &'c Cluster,
    public: Public,
    install: Install,
    before: &str,
) -> Database<'c> {
    let database = Database::empty(cluster);
    let mut admin = admin(cluster, database.name());
    admin.run(
        "create schema extensions; grant usage on schema extensions to postgres, anon, authenticated, service_role;
         grant usage on schema public to postgres, anon, authenticated, service_role; grant create on schema public to postgres",
    );
    if public == Public::Shipped {
        admin.run(SHIPPED);
    }
    let mut owner = database.session();
    owner.run(before);
    match install {
        Install::Extension => owner.run("create extension pg_worker_ext"),
        Install::SqlOnly => database.install_sql_only(),
    }
    database
}
