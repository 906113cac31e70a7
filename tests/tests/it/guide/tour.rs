//! `docs/guide.md`: the whole tour, with the background worker and a real executor.

use super::calls;
use super::page::{Block, Page};
use super::place::{CHARACTER, Place};
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, Cluster, Database, Executor, StubLlm};
use serde_json::Value;
use uuid::Uuid;

const CONTAINERS: &str = "needs a container engine; scripts/suites/containers.sh runs it";

struct Tour<'d> {
    page: Page,
    place: Place<'d>,
    database: &'d Database<'d>,
}

#[test]
fn the_guide() {
    let database = Database::empty(Cluster::live());
    let page = Page::open("docs/guide.md");
    let place = Place::new(&database);
    let mut tour = Tour {
        page,
        place,
        database: &database,
    };
    // On the page the queue is explained before the setup.
    let enqueues = tour.page.sql("Job types");
    let refusal = tour.page.sql("Job types");
    tour.install();
    let jobs = tour.enqueue(&enqueues, &refusal);
    let executor = tour.start();
    tour.schedule();
    tour.finish(&jobs);
    tour.monitor(&executor);
    tour.claim();
    tour.measure();
    tour.troubleshoot();
    tour.configure(executor);
    tour.good_practice();
    tour.page.is_over();
}

impl Tour<'_> {
    fn install(&mut self) {
        const HERE: &str = "1. Install the extension";
        self.page.left_out(
            HERE,
            "make install ",
            "a release build; scripts/suites/install.sh runs it",
        );
        let conf = self.page.take("conf", HERE);
        self.place.make_game();
        self.place.sql(&self.page.sql(HERE));
        let preloaded: String = self.place.session().value("show shared_preload_libraries", &[]);
        assert_eq!(
            conf.text.trim(),
            format!("shared_preload_libraries = '{preloaded}'")
        );
        let hosted = Database::empty(Cluster::plain());
        Place::new(&hosted).bash(&self.page.bash(HERE));
        for relation in self.relations() {
            for mut session in [self.database.session(), hosted.session()] {
                let there: bool =
                    session.value("select to_regclass('public.' || $1) is not null", &[&relation]);
                assert!(there, "{relation}");
            }
        }
    }

    /// The tables and views that the page promises.
    fn relations(&self) -> Vec<String> {
        let list = self
            .page
            .text()
            .split("Either way there is now")
            .nth(1)
            .expect("the list");
        let list = list.split("- the functions").next().expect("the list's end");
        let names: Vec<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(names.len(), 11, "{names:?}");
        names
    }

    fn enqueue(&self, enqueues: &Block, refusal: &Block) -> Vec<Uuid> {
        let printed = self.place.sql(enqueues);
        self.place.sql(refusal);
        let jobs: Vec<Uuid> = printed
            .lines()
            .map(|line| line.parse().expect("a job's id"))
            .collect();
        assert_eq!(jobs.len(), 7);
        jobs
    }

    fn start(&mut self) -> Executor {
        const HERE: &str = "2. Start the executor";
        let compose = self.page.left_out(HERE, "podman-compose ", CONTAINERS);
        calls::names_compose_services(&compose);
        let report = self.place.bash(&self.page.bash(HERE));
        assert!(
            report.contains("builtin") || report.contains("built-in"),
            "doctor says who writes: {report}"
        );
        assert_eq!(self.page.bash(HERE).commands(), ["pg-worker-executor run"]);
        let executor = Executor::on(self.database).start();
        executor.health();
        self.place.with_health(executor.port());
        let health: Value = serde_json::from_str(&self.place.bash(&self.page.bash(HERE))).expect("JSON");
        assert!(health["uptime"].is_u64(), "{health}");
        executor
    }

    fn schedule(&mut self) {
        const HERE: &str = "3. Schedule recurring pool checks";
        calls::names_functions(&self.page.take("typescript", HERE), &mut self.place.session());
        calls::pg_cron_stand_in(&self.page.sql(HERE), &self.place);
        calls::crontab_entry(&self.page.take("crontab", HERE), &self.place);
    }

    fn finish(&self, jobs: &[Uuid]) {
        let mut session = self.place.session();
        for job in jobs {
            self.wait_completed(*job);
        }
        session.wait_until_true(
            "select bool_and(available >= minimum) from content_pool_status",
            BOUND,
        );
        let summaries = session.count(&format!("session_summaries where character_id = '{CHARACTER}'"));
        assert_eq!(summaries, 1);
    }

    fn wait_completed(&self, job: Uuid) {
        let mut session = self.place.session();
        wait_for("the job is completed", BOUND, || {
            let row = session.row(
                "select status, job_type, error_message from worker_jobs where id = $1",
                &[&job],
            );
            let status: String = row.get(0);
            assert_ne!(
                status,
                "failed",
                "{:?}: {:?}",
                row.get::<_, String>(1),
                row.get::<_, Option<String>>(2)
            );
            (status == "completed").then_some(())
        });
    }

    fn monitor(&mut self, executor: &Executor) {
        let health: Value = serde_json::from_str(&self.place.bash(&self.page.bash("Health"))).expect("JSON");
        let promised: Value = serde_json::from_str(&self.page.take("json", "Health").text).expect("JSON");
        calls::has_shape_of(&health, &promised);
        assert_eq!(health["workerInterval"], promised["workerInterval"]);
        assert_eq!(executor.health().status, 200);
        let later: Uuid = self.place.session().value(
            "select enqueue_worker_job('generate_npcs', '{\"count\": 1}', 9, now() + interval '1 hour')",
            &[],
        );
        let queue = self.place.sql(&self.page.sql("The job queue"));
        for seen in [
            &later.to_string(),
            "|completed|",
            "generate_npcs|pending|1|",
            "|builtin|",
        ] {
            assert!(queue.contains(seen), "{seen}: {queue}");
        }
        self.place
            .session()
            .run(&format!("select cancel_worker_job('{later}')"));
        let pools = self.place.sql(&self.page.sql("Content pools"));
        let counts: Vec<u32> = pools
            .lines()
            .take(4)
            .map(|line| line.parse().expect("a count"))
            .collect();
        assert!(
            counts
                .iter()
                .zip([20, 30, 30, 10])
                .all(|(count, least)| *count >= least),
            "{counts:?}"
        );
        for kind in ["quest|", "npc|", "encounter|", "dungeon|", "poi|abc123|"] {
            assert!(pools.contains(kind), "{kind}: {pools}");
        }
    }

    fn claim(&mut self) {
        let mut session = self.place.session();
        let columns = calls::claims(&self.page.sql("A quest").text, &mut session, || ());
        let promised: Value = serde_json::from_str(&self.page.take("json", "A quest").text).expect("JSON");
        let mut promised: Vec<&String> = promised.as_object().expect("an object").keys().collect();
        promised.sort_by_key(|name| columns.iter().position(|column| column == *name));
        assert_eq!(columns.iter().collect::<Vec<_>>(), promised);
        calls::claims(&self.page.sql("An NPC").text, &mut session, || ());
        let encounter = calls::claims(&self.page.sql("An encounter").text, &mut session, || ());
        assert!(encounter.contains(&"enemies".to_owned()) && encounter.contains(&"description".to_owned()));
        calls::names_functions(&self.page.take("typescript", "An encounter"), &mut session);
        let others = self.page.sql("A dungeon, a point of interest");
        for statement in others.text.lines() {
            calls::claims(statement, &mut session, || ());
        }
        for pool in [
            "quest_templates",
            "npc_personalities",
            "combat_encounters",
            "dungeon_content",
            "campaign_pois",
        ] {
            assert_eq!(session.count(&format!("{pool} where used")), 1, "{pool}");
        }
    }

    fn measure(&mut self) {
        let times = self.place.sql(&self.page.sql("What to expect of a GTX 1080"));
        for job_type in ["generate_quests|", "generate_pois|", "summarize_session|"] {
            assert!(times.contains(job_type), "{times}");
        }
    }

    fn troubleshoot(&mut self) {
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

    fn configure(&mut self, executor: Executor) {
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

    fn good_practice(&mut self) {
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
