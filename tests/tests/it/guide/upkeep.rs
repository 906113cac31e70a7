//! The second half of `docs/guide.md`: trouble, configuration, good practice.

use super::calls;
use super::tour::{CONTAINERS, Tour};
use pg_worker_tests::{BOUND, Executor, StubLlm};
use uuid::Uuid;

impl Tour<'_> {
    pub(super) fn troubleshoot(&mut self) {
        let compose = self
            .page
            .left_out("Nothing is processed", "podman-compose ", CONTAINERS);
        calls::names_compose_services(&compose);
        self.place.bash(&self.page.bash("Nothing is processed"));
        let model = StubLlm::start();
        let reached = self.page.bash("The model cannot be reached");
        let reached = reached.with("http://192.168.42.145:1234/v1", &model.url());
        assert!(self.place.bash(&reached).contains("stub-model"));
        let compose = self
            .page
            .left_out("The model cannot be reached", "podman-compose ", CONTAINERS);
        calls::names_compose_services(&compose);
        self.free_stuck_job();
        let seen = self.place.sql(&self.page.sql("Pools are not refilled"));
        assert!(
            seen.contains("check_all_pools") && seen.contains("npc|"),
            "{seen}"
        );
    }

    fn free_stuck_job(&mut self) {
        const HERE: &str = "Jobs stuck in \"running\"";
        let mut session = self.place.session();
        let stuck = session.row(
            "insert into worker_jobs (job_type, parameters, status, started_at)
             values ('generate_quests', '{\"count\": 1}', 'running', now() - interval '31 minutes')
             returning id, lease_token",
            &[],
        );
        let (job, token): (Uuid, Uuid) = (stuck.get(0), stuck.get(1));
        self.place.sql(&self.page.sql(HERE));
        let freed = session.row(
            "select status, error_message, completed_at is not null from worker_jobs where id = $1",
            &[&job],
        );
        let freed: (String, String, bool) = (freed.get(0), freed.get(1), freed.get(2));
        assert_eq!(
            freed,
            ("failed".into(), "Job timeout - reset by admin".into(), true)
        );
        let store = "select outcome from worker.store_item($1, $2, 1, '{}')";
        assert_eq!(session.value::<String>(store, &[&job, &token]), "lease lost");
        let retry = self.page.sql(HERE).with("job-uuid", &job.to_string());
        assert_eq!(self.place.sql(&retry).trim(), "t");
        self.wait_completed(job);
    }

    pub(super) fn configure(&mut self, executor: Executor) {
        const SIZES: [(&str, i32); 3] = [("quest", 50), ("npc", 60), ("encounter", 60)];
        let variables = self.page.take("shell", "Variables of the executor");
        assert!(executor.stop().success());
        let mut setup = Executor::on(self.database);
        for line in variables.commands() {
            let (name, value) = line.split_once('=').expect("NAME=value");
            if !["WORKER_PORT", "LOCAL_LLM_ENDPOINT"].contains(&name) {
                setup = setup.env(name, value);
            }
        }
        let executor = setup.start();
        executor.health();
        self.place.sql(&self.page.sql("Tuning pool sizes"));
        let mut session = self.place.session();
        for (kind, size) in SIZES {
            let obeyed = "select available >= minimum and minimum = ";
            let pool = format!("{obeyed} {size} from content_pool_status where kind = '{kind}'");
            session.wait_until_true(&pool, BOUND);
        }
    }

    pub(super) fn good_practice(&mut self) {
        let mut session = self.place.session();
        let old: Uuid = session.value(
            "insert into worker_jobs (job_type, status, completed_at)
             values ('generate_npcs', 'completed', now() - interval '8 days') returning id",
            &[],
        );
        self.place.sql(&self.page.sql("Good practice"));
        assert_eq!(session.count(&format!("worker_jobs where id = '{old}'")), 0);
        session.run("update content_pools set min_size = 10000, enabled = false where kind = 'dungeon'");
        let alert = self.place.sql(&self.page.sql("Good practice"));
        assert!(
            alert.starts_with("dungeon||") && alert.lines().count() == 1,
            "{alert}"
        );
    }
}
