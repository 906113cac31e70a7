//! The guide's way B: a real pg_cron calls `schedule_pool_check()` as `postgres`.

use super::{Install, Public, admin, cluster, database};
use pg_worker_tests::{BOUND, Database};
use std::time::Duration;

/// pg_cron of Debian 12 knows whole minutes only.
const A_MINUTE: Duration = Duration::from_secs(90);

#[test]
#[ignore = "needs pg_cron: scripts/suites/supabase.sh"]
fn pg_cron_asks_for_a_pool_check_as_postgres() {
    let cluster = cluster(&[
        "pg_worker_ext.background_worker = off",
        "shared_preload_libraries = 'pg_worker_ext,pg_cron'",
        "cron.use_background_workers = on",
        "cron.database_name = 'test_with_cron'",
    ]);
    let first = database(&cluster, Public::Shipped, Install::Extension);
    check(&first);
    let second = database(&cluster, Public::Closed, Install::SqlOnly);
    check(&second);
}

fn check(database: &Database) {
    let cluster = database.cluster();
    let name = database.name();
    // pg_cron lives in one database; it is told which, and given to postgres as the platform does.
    cluster.stop_server(pg_worker_tests::cluster::Stop::Fast);
    let file = cluster.data().join("postgresql.conf");
    let text = std::fs::read_to_string(&file).expect("postgresql.conf");
    std::fs::write(&file, format!("{text}\ncron.database_name = '{name}'\n")).expect("write");
    cluster.start_server();
    admin(cluster, name).run(
        "create extension pg_cron; grant usage on schema cron to postgres;
         grant all on all tables in schema cron to postgres",
    );
    let mut postgres = database.session();
    // The guide's statement, but for the hour.
    postgres.run("select cron.schedule('hourly-pool-check', '* * * * *', $$SELECT schedule_pool_check()$$)");
    postgres.wait_until_true(
        "select exists (select from worker_jobs where job_type = 'check_all_pools' and status = 'pending')",
        A_MINUTE,
    );
    postgres.wait_until_true(
        "select bool_or(end_time is not null) from cron.job_run_details",
        BOUND,
    );
    let run: String = postgres.value(
        "select concat_ws(' ', username, status, return_message) from cron.job_run_details order by runid limit 1",
        &[],
    );
    assert_eq!(run, "postgres succeeded SELECT 1");
    postgres.run("select cron.unschedule('hourly-pool-check')");
}
