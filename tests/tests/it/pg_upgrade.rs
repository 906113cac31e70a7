//! pg_upgrade from 15 to 17: everything is there afterwards, and works. `scripts/suites/versions.sh` builds for
//! both and names the older one in `PG_WORKER_OLD_PG_CONFIG` and `PG_WORKER_OLD_STAGE`.

use pg_worker_tests::cluster::Stop;
use pg_worker_tests::{BOUND, Cluster, Database, Executor, Session};
use std::path::PathBuf;

const USE: &str = "
    select worker.add_kind('asteroid', 'An asteroid.', '{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}}}');
    insert into asteroid_items (item) values ('{\"name\": \"Ceres\"}');
    update content_pools set min_size = 5 where kind = 'quest'; update content_pools set min_size = 0 where kind = 'asteroid';
    alter table quest_templates add column rating integer default 3;
    create index my_rating on quest_templates (rating);
    create view my_pools as select kind, level from content_pool_status;
    create role game login; select worker.grant_backend('game');
    create role gpu login; select worker.grant_executor('gpu')";

/// Rows of every table, and who may do what, as one text each. An owner's rights grow by themselves: 17 has one more.
const STATE: [&str; 4] = [
    "select string_agg(format('%s %s', r, (xpath('/row/c/text()', query_to_xml(format('select md5(string_agg(t::text, ''|'' order by t::text)) as c from %s t', r), false, true, '')))[1]), ', ' order by r::text)
       from worker.our_relations() r join pg_class c on c.oid = r where c.relkind = 'r' and r::text <> 'worker.executors'",
    "select string_agg(format('%s %s %s', r, a.grantee::regrole, a.privilege_type), ', ' order by r::text, a.grantee, a.privilege_type)
       from worker.our_relations() r join pg_class c on c.oid = r cross join aclexplode(c.relacl) a where a.grantee <> c.relowner",
    "select string_agg(format('%s %s %s', f, p.proowner::regrole, p.proacl), ', ' order by f::text) from worker.our_functions() f join pg_proc p on p.oid = f",
    "select string_agg(pg_get_triggerdef(oid), ', ' order by tgrelid::regclass::text, tgname) from pg_trigger where not tgisinternal",
];

fn state(session: &mut Session) -> Vec<String> {
    STATE
        .iter()
        .map(|sql| session.value::<Option<String>>(sql, &[]).expect("something"))
        .collect()
}

fn old(name: &str) -> PathBuf {
    std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name}, as scripts/suites/versions.sh sets it"))
        .into()
}

/// An older server in use, stopped, and what was in it.
fn used_and_stopped(name: &str) -> (Cluster, Vec<String>) {
    let cluster = Cluster::of(
        &old("PG_WORKER_OLD_PG_CONFIG"),
        &old("PG_WORKER_OLD_STAGE"),
        &["shared_preload_libraries = 'pg_worker_ext'"],
    );
    cluster
        .session("postgres")
        .run(&format!("create database {name} template template0"));
    let mut session = cluster.session(name);
    // One transaction: the background worker must not fill pools that are not wanted.
    session.run(&format!("begin; create extension pg_worker_ext; {USE}; commit"));
    Executor::without_database()
        .env("DATABASE_URL", &cluster.url("gpu", name))
        .succeeds("once");
    session.run("update content_pools set enabled = false; select enqueue_worker_job('generate_npcs', p_run_at => now() + interval '1 year')");
    session.run("select * from claim_quest_from_pool(null)");
    let before = state(&mut session);
    drop(session);
    cluster.stop_server(Stop::Fast);
    (cluster, before)
}

#[test]
#[ignore = "needs servers of two versions: scripts/suites/versions.sh"]
fn keeps_everything() {
    let name = "upgraded";
    let (from, before) = used_and_stopped(name);
    let to = Cluster::own(&[]);
    to.stop_server(Stop::Fast);
    to.upgrade_from(&from);
    to.start_server();
    let mut session = to.session(name);
    assert!(
        session
            .value::<String>("show server_version", &[])
            .starts_with("17")
    );
    assert_eq!(state(&mut session), before);
    session.wait_until_true(
        "select (worker.native_info() ->> 'background_worker')::boolean",
        BOUND,
    );
    assert_eq!(
        session.value::<Option<String>>("select worker.ready()", &[]),
        None
    );
    assert_eq!(
        session.value::<i32>("select max(rating) from quest_templates", &[]),
        3
    );
    session.run("select * from my_pools; update content_pools set enabled = true where kind = 'quest'");
    assert_eq!(session.count("claim_from_pool('asteroid')"), 1);
    Executor::without_database()
        .env("DATABASE_URL", &to.url("gpu", name))
        .succeeds("once");
    session.run("set role game; select enqueue_worker_job('generate_dungeons', '{\"count\": 1}')");
    drop(Database::empty(&to));
}
