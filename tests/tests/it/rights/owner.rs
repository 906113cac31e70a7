//! Who owns tables and code: never a superuser, whoever installs and whoever installed before.

use super::on_both;
use pg_worker_tests::install::released_versions;
use pg_worker_tests::psql::Psql;
use pg_worker_tests::{Cluster, Database, Session};

on_both!(
    what_a_superuser_installs_belongs_to_no_superuser,
    a_superuser_is_refused_as_the_owner,
);

const SUPERUSERS: &str = "
    select r::text from worker.our_relations() r join pg_class c on c.oid = r join pg_roles o on o.oid = c.relowner where o.rolsuper
    union all
    select f::text from worker.our_functions() f join pg_proc p on p.oid = f join pg_roles o on o.oid = p.proowner where o.rolsuper";

#[track_caller]
fn belongs_to_worker_owner(session: &mut Session) {
    assert_eq!(session.column::<String>(SUPERUSERS, &[]), Vec::<String>::new());
    let owner: String = session.value("select worker.about() ->> 'owner'", &[]);
    assert_eq!(owner, "worker_owner");
    let harmless = "select not (rolsuper or rolcanlogin or rolinherit or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)
                           and not exists (select from pg_auth_members m where r.oid in (m.roleid, m.member))
                      from pg_roles r where rolname = 'worker_owner'";
    assert!(session.value::<bool>(harmless, &[]));
    assert_eq!(
        session.value::<Option<String>>("select worker.ready()", &[]),
        None
    );
}

fn what_a_superuser_installs_belongs_to_no_superuser(database: &Database) {
    let mut session = database.session();
    belongs_to_worker_owner(&mut session);
    session.run("select enqueue_worker_job('generate_quests'); select worker.tick()");
    let more = "select has_schema_privilege('worker_owner', 'public', 'create') or has_schema_privilege('worker_owner', 'worker', 'create')";
    assert!(
        !session.value::<bool>(more, &[]),
        "it uses both schemas and makes nothing there"
    );
}

fn a_superuser_is_refused_as_the_owner(database: &Database) {
    let mut session = database.session();
    session.run("set pg_worker_ext.owner = 'postgres'");
    let refusal = session.refused("select worker.setup()", &[]);
    assert_eq!(refusal.code(), "22023");
    assert!(
        refusal.message.contains("pg_worker_ext.owner: postgres") && refusal.detail.contains("no superuser"),
        "{refusal:?}"
    );
}

/// What somebody who may make roles can have made beforehand, and what the refusal says of it.
const TRAPS: [(&str, &str); 4] = [
    ("create role worker_owner login", "can log in"),
    ("create role worker_owner superuser", "is a superuser"),
    (
        "set role maker; create role worker_owner; grant worker_owner to maker; reset role",
        "has the member maker",
    ),
    (
        "create role worker_owner; set role maker; grant maker to worker_owner; reset role",
        "is a member of maker",
    ),
];

#[test]
fn a_worker_owner_that_somebody_made_beforehand_is_refused() {
    let cluster = Cluster::own(&["pg_worker_ext.background_worker = off"]);
    let mut admin = cluster.session("postgres");
    admin.run("create role maker createrole");
    for (trap, words) in TRAPS {
        admin.run(trap);
        let database = Database::empty(&cluster);
        let refusal = database.session().refused("create extension pg_worker_ext", &[]);
        assert!(
            refusal.message.contains(words) && refusal.hint.contains("pg_worker_ext.owner"),
            "{refusal:?}"
        );
        let refusal = Psql::new(&database).file("sql/pg_worker_ext.sql").fails();
        assert!(refusal.contains(words), "{refusal}");
        assert_eq!(
            database.session().count("pg_namespace where nspname = 'worker'"),
            0
        );
        // Whom a superuser names is the owner, whatever he is beside.
        if words == "can log in" {
            database
                .session()
                .run("set pg_worker_ext.owner = 'worker_owner'; create extension pg_worker_ext");
        }
        drop(database);
        admin.run("drop role worker_owner");
    }
    // What a superuser gave was meant.
    admin.run("create role deploy; create role worker_owner; grant worker_owner to deploy");
    Database::empty(&cluster)
        .session()
        .run("create extension pg_worker_ext");
}

/// A trigger of the game's that had a superuser's rights.
const GAME: &str = "
    create table log (title text);
    create function log_it() returns trigger language plpgsql as $$ begin insert into public.log values (new.title); return null; end $$;
    create trigger log_it after insert on quest_templates for each row execute function log_it()";

#[test]
fn an_install_that_belongs_to_a_superuser_is_moved() {
    for version in released_versions() {
        for way in ["extension", "single file"] {
            let database = Database::empty(Cluster::quiet());
            let mut session = database.session();
            if way == "extension" {
                session.run(&format!("create extension pg_worker_ext version '{version}'"));
            } else {
                Psql::new(&database)
                    .file(&format!("sql/released/sql_only--{version}.sql"))
                    .succeeds();
            }
            session.run(GAME);
            // Not while somebody has a table in hand: nothing is changed then.
            let mut player = database.session();
            player.run("begin; update content_pools set min_size = 1 where kind = 'quest'");
            let moved = if way == "extension" {
                session.run("alter extension pg_worker_ext update; set lock_timeout = '300ms'");
                session.refused("select worker.setup()", &[]).message
            } else {
                let psql = Psql::new(&database).command("set lock_timeout = '300ms'");
                psql.file("sql/pg_worker_ext.sql").fails()
            };
            assert!(moved.contains("others have in use"), "{way}: {moved}");
            let owner = "select relowner::regrole::text from pg_class where oid = 'worker_jobs'::regclass";
            assert_eq!(session.value::<String>(owner, &[]), "postgres");
            player.run("commit");
            session.notices();
            let text = pg_worker_tests::paths::read("sql/pg_worker_ext.sql");
            session.run(if way == "extension" {
                "select worker.setup()"
            } else {
                &text
            });
            belongs_to_worker_owner(&mut session);
            let notices = session.notices().join("\n");
            assert!(
                notices.contains("belong to worker_owner now, and no longer to the superuser postgres")
                    && notices.contains("log_it on public.quest_templates"),
                "{way}: {notices}"
            );
            session.run("select worker.setup()");
            assert_eq!(session.notices(), Vec::<String>::new(), "once is enough");
        }
    }
}

/// A platform whose superuser is not the user's.
#[test]
fn on_supabase_postgres_is_the_owner_and_no_role_is_made() {
    let cluster = crate::supabase::cluster(&["pg_worker_ext.background_worker = off"]);
    let database = Database::empty(&cluster);
    let mut admin = crate::supabase::admin(&cluster, database.name());
    admin.run("grant create on schema public to postgres; create extension pg_worker_ext");
    assert_eq!(
        admin.value::<String>("select worker.about() ->> 'owner'", &[]),
        "postgres"
    );
    assert_eq!(admin.count("pg_roles where rolname = 'worker_owner'"), 0);
}
