//! `worker.setup()` while a game plays: it changes what differs and nothing else, nobody waits for it, and nobody dies
//! of it.

use crate::steps::{in_background, together};
use pg_worker_tests::{Database, on_both_installs};

on_both_installs!(
    a_setup_with_nothing_to_do_locks_nothing_that_anybody_waits_for,
    a_setup_waits_for_no_open_transaction_when_nothing_is_to_be_done,
    a_setup_that_cannot_have_its_tables_gives_up_and_the_game_goes_on,
    two_setups_at_once_both_succeed,
    a_setup_puts_back_what_is_missing_and_leaves_what_is_the_users,
);

/// What a game has open: it claimed, and will enqueue.
const CLAIM: &str = "
    insert into quest_templates (title, description) values ('A Keepsake', 'It stays.');
    begin; select * from claim_quest_from_pool(null, 1, 20)";

fn a_setup_with_nothing_to_do_locks_nothing_that_anybody_waits_for(database: &Database) {
    let mut session = database.session();
    session.run("select worker.setup(); begin; select worker.setup()");
    let strong = "select format('%s %s', relation::regclass, mode) from pg_locks
                   where pid = pg_backend_pid() and relation is not null and mode <> 'AccessShareLock'";
    assert_eq!(session.column::<String>(strong, &[]), Vec::<String>::new());
    let mut writes = session.column::<String>(
        "select coalesce(pg_current_xact_id_if_assigned()::text, 'none')",
        &[],
    );
    assert_eq!(writes.pop().as_deref(), Some("none"), "nothing was written");
}

fn a_setup_waits_for_no_open_transaction_when_nothing_is_to_be_done(database: &Database) {
    let mut game = database.session();
    game.run(CLAIM);
    game.run("select enqueue_worker_job('generate_npcs'); update content_pools set min_size = 7 where kind = 'npc'");
    let mut session = database.session();
    session.run("set lock_timeout = '5s'; select worker.setup()");
    game.run("commit");
}

fn a_setup_that_cannot_have_its_tables_gives_up_and_the_game_goes_on(database: &Database) {
    let mut session = database.session();
    session.run("drop view worker_costs; alter table worker_jobs disable row level security; set lock_timeout = '400ms'");
    let mut game = database.session();
    game.run(CLAIM);
    let pid = game.backend_pid();
    let refusal = session.refused("select worker.setup()", &[]);
    assert_eq!(refusal.code(), "55P03");
    assert!(
        refusal.message.contains("others have in use") && refusal.detail.contains(&format!("process {pid}")),
        "{refusal:?}"
    );
    // At the same time as the game takes the second table: whoever comes first, the game is not refused.
    let setup = in_background(database.session(), |session| {
        session.run("set lock_timeout = '10s'; select worker.setup()");
    });
    for _ in 0..50 {
        game.run("select enqueue_worker_job('generate_npcs'); update npc_personalities set used = used where false; commit");
        game.run("begin; insert into quest_templates (title, description) values (gen_random_uuid()::text, 'x'); select * from claim_quest_from_pool(null, 1, 20)");
    }
    game.run("commit");
    setup.join().expect("setup succeeds once the game has a breath");
    session.run("select * from worker_costs");
}

fn two_setups_at_once_both_succeed(database: &Database) {
    database.session().run("drop view worker_costs; drop view worker_executors; alter table quest_templates disable row level security");
    together(database, 3, |session| session.run("select worker.setup()"));
    database
        .session()
        .run("select * from worker_costs, worker_executors");
}

fn a_setup_puts_back_what_is_missing_and_leaves_what_is_the_users(database: &Database) {
    let mut session = database.session();
    session.run(
        "drop index worker_jobs_running; drop trigger pool_used on quest_templates; drop view worker_costs; drop policy if exists x on worker_jobs;
         alter table worker_jobs disable row level security; delete from content_pools where kind = 'npc';
         alter table quest_templates add column mine text; create index mine on quest_templates (mine);
         select worker.setup()",
    );
    assert_eq!(
        session.count("pg_indexes where indexname in ('worker_jobs_running', 'mine')"),
        2
    );
    assert_eq!(
        session.count("pg_trigger where tgname = 'pool_used' and tgrelid = 'quest_templates'::regclass"),
        1
    );
    assert_eq!(session.count("content_pools where kind = 'npc'"), 1);
    assert_eq!(
        session.count("pg_class where oid = 'worker_jobs'::regclass and relrowsecurity"),
        1
    );
    // What the user adds later makes no work for the next one.
    session.run(
        "alter table quest_templates add column more text; create index more on worker_jobs (created_at)",
    );
    assert!(session.value::<bool>("select worker.is_set_up()", &[]));
}
