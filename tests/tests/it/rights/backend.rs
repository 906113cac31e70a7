//! `worker.grant_backend`: all that a game does, and nothing of what executors and owners do.

use super::{callable, denied, on_both, usable};
use crate::claims::POOLS;
use pg_worker_tests::{Database, Session};

on_both!(
    a_backend_can_do_all_that_a_game_does,
    supabases_service_role_is_a_backend,
    a_backend_is_no_executor_and_no_owner,
    a_backend_cannot_give_itself_more,
    granting_twice_changes_nothing,
);

fn backend(database: &Database) -> Session {
    database.session().run("select worker.grant_backend('game')");
    database.session_as("game")
}

/// Every statement of a game, in a session of that role.
fn plays(game: &mut Session) {
    for pool in &POOLS {
        pool.fill(game, 3);
        assert!(pool.claim(game).is_some(), "{}", pool.name);
        assert_eq!(pool.used(game), 1, "what it claimed it sees");
        assert!(pool.try_claim(game, Some("r")).unwrap().is_some());
        game.run(&format!(
            "update {} set used = true, used_at = now() where not used",
            pool.table
        ));
        assert_eq!(pool.claim(game), None);
        game.run(&format!("delete from {}", pool.table));
    }
    assert_eq!(
        game.count("worker_jobs where job_type like 'generate%'"),
        5,
        "what was wanting is asked for"
    );
    game.run(
        "select enqueue_worker_job('check_all_pools', null, 1);
         select enqueue_worker_job('generate_quests', '{\"count\": 20, \"level_range\": [1, 10]}', 5);
         select enqueue_worker_job('generate_pois', '{\"campaign_seed\": \"abc123\", \"count\": 25}', 5);
         select enqueue_worker_job('summarize_session', '{\"character_id\": \"00000000-0000-4000-8000-000000000001\"}');
         select schedule_pool_check();
         insert into worker_jobs (job_type) values ('generate_npcs');
         select cancel_worker_job(id), retry_worker_job(id) from worker_jobs where job_type = 'generate_npcs';
         update worker_jobs set status = 'failed', error_message = 'Job timeout - reset by admin'
          where status = 'running' and started_at < now() - interval '30 minutes';
         update worker_jobs set status = 'completed' where job_type = 'generate_npcs';
         delete from worker_jobs where status = 'completed';
         update content_pools set min_size = 50, prompt = 'Write one.', temperature = 0.7 where kind = 'quest';
         insert into worker.campaigns values ('mine') on conflict do nothing;
         delete from worker.campaigns where campaign_seed = 'mine';
         select worker.retire_items(p_generator => 'builtin')",
    );
    for watched in [
        "content_pool_status",
        "worker_queue_status",
        "worker_executors",
        "session_summaries",
        "worker.kinds",
    ] {
        game.run(&format!("select * from {watched}"));
    }
    assert!(game.count("content_pool_status") >= 5);
    assert!(game.count("worker_queue_status") > 0);
}

fn a_backend_can_do_all_that_a_game_does(database: &Database) {
    plays(&mut backend(database));
}

fn supabases_service_role_is_a_backend(database: &Database) {
    let mut session = database.session();
    session.run("set role service_role");
    plays(&mut session);
}

fn a_backend_is_no_executor_and_no_owner(database: &Database) {
    let mut game = backend(database);
    let id = "gen_random_uuid()";
    for statement in [
        format!("select * from worker.lease_jobs({id})"),
        format!("select * from worker.next_item({id}, {id})"),
        format!("select * from worker.store_item({id}, {id}, 1, '{{}}')"),
        format!("select * from worker.complete_job({id}, {id})"),
        format!("select * from worker.fail_job({id}, {id}, 'x')"),
        format!("select worker.report_executor({id}, '{{}}')"),
        "select worker.tick()".to_owned(),
        // what names code, and the system's own books
        "update worker.kinds set store_function = 'pg_catalog.pg_sleep'".to_owned(),
        "insert into worker.kinds select * from worker.kinds".to_owned(),
        "delete from worker.kinds".to_owned(),
        "update worker.items set title = 'x'".to_owned(),
        "delete from worker.executors".to_owned(),
        "update worker.schema_version set version = '9'".to_owned(),
        "delete from worker.pool_trouble".to_owned(),
        "truncate quest_templates".to_owned(),
        "alter table quest_templates disable trigger user".to_owned(),
        "create policy mine on quest_templates using (true)".to_owned(),
        "create function worker.mine() returns int language sql return 1".to_owned(),
    ] {
        denied(&mut game, &statement);
    }
    let mut owner = database.session();
    let definers = "select f::text from worker.our_functions() f join pg_proc p on p.oid = f
                     where p.prosecdef and p.proname not in ('pool_status', 'queue_status')";
    let definers: Vec<String> = owner.column(definers, &[]);
    let callable = callable(&mut owner, "game");
    let too_much: Vec<&String> = callable.iter().filter(|name| definers.contains(name)).collect();
    assert!(too_much.is_empty(), "{too_much:?}");
    assert!(definers.len() > 15 && callable.len() > 30);
}

/// The functions that grant and set up run with the caller's own rights.
fn a_backend_cannot_give_itself_more(database: &Database) {
    let mut game = backend(database);
    let mut owner = database.session();
    let before = (callable(&mut owner, "game"), usable(&mut owner, "game"));
    for statement in [
        "select worker.grant_executor('game')",
        "select worker.grant_backend('game')",
        "select worker.grant_backend('stranger')",
        "select worker.close_doors()",
        "select worker.give_to('game')",
        "select worker.setup()",
    ] {
        // Refused, or without effect.
        let _ = game.batch_execute(statement);
    }
    assert_eq!((callable(&mut owner, "game"), usable(&mut owner, "game")), before);
    assert!(callable(&mut owner, "stranger").is_empty() && usable(&mut owner, "stranger").is_empty());
    let owners =
        "select count(distinct c.relowner) from worker.our_relations() r join pg_class c on c.oid = r";
    assert_eq!(owner.value::<i64>(owners, &[]), 1);
}

fn granting_twice_changes_nothing(database: &Database) {
    backend(database);
    let mut owner = database.session();
    let rights = (callable(&mut owner, "game"), usable(&mut owner, "game"));
    let policies = owner.count("pg_policies where roles = '{game}'");
    backend(database);
    assert_eq!((callable(&mut owner, "game"), usable(&mut owner, "game")), rights);
    assert_eq!(owner.count("pg_policies where roles = '{game}'"), policies);
}
