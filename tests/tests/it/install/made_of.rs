//! What tables and functions are made of, for the sake of `pg_upgrade`, dumps and other people's
//! transactions.

use crate::steps::{enqueue_quests, lease_one, outcome, store_quest};
use pg_worker_tests::{Database, on_both_installs};

on_both_installs!(
    columns_have_types_of_the_server,
    no_function_needs_a_transaction_of_its_own,
    no_call_weakens_the_callers_transaction,
);

/// `pg_upgrade` refuses `regproc` and its like; a type of ours would make a dump depend on the code.
fn columns_have_types_of_the_server(database: &Database) {
    let sql = "
        select format('%s.%s %s', r, a.attname, a.atttypid::regtype)
          from worker.our_relations() r join pg_attribute a on a.attrelid = r join pg_type t on t.oid = a.atttypid
         where a.attnum > 0 and not a.attisdropped
           and (t.typnamespace <> 'pg_catalog'::regnamespace or t.typname like 'reg%')";
    let mut session = database.session();
    assert_eq!(session.column::<String>(sql, &[]), Vec::<String>::new());
    let columns = "worker.our_relations() r join pg_attribute a on a.attrelid = r where a.attnum > 0";
    assert!(session.count(columns) > 100, "the list is not empty");
}

/// A procedure with a pinned `search_path` cannot commit, and a client's pooler may not like one that does.
fn no_function_needs_a_transaction_of_its_own(database: &Database) {
    let sql =
        "select f::text from worker.our_functions() f join pg_proc p on p.oid = f where p.prokind <> 'f'";
    assert_eq!(
        database.session().column::<String>(sql, &[]),
        Vec::<String>::new()
    );
}

/// A game's commit waits for the disk after any call of ours: what may be forgotten is the client's decision.
fn no_call_weakens_the_callers_transaction(database: &Database) {
    let mut session = database.session();
    session.run("set synchronous_commit = on; begin");
    enqueue_quests(&mut session, 1);
    let lease = lease_one(&mut session);
    store_quest(&mut session, &lease, 1);
    assert_eq!(outcome(&mut session, "complete_job", &lease, ""), "completed");
    session.run("select * from claim_quest_from_pool(null)");
    for setting in [
        "synchronous_commit",
        "search_path",
        "enable_seqscan",
        "lock_timeout",
    ] {
        let sql = "select source from pg_settings where name = $1";
        let source: String = session.value(sql, &[&setting]);
        let expected = if setting == "synchronous_commit" {
            "session"
        } else {
            "default"
        };
        assert_eq!(source, expected, "{setting}");
    }
    assert_eq!(session.value::<String>("show synchronous_commit", &[]), "on");
    session.run("commit");
}
