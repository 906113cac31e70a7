//! `docs/guide.md`: the whole tour, with the background worker and a real executor.

use super::calls;
use super::page::{Block, Page};
use super::place::{CHARACTER, Place};
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, Cluster, Database, Executor};
use serde_json::Value;
use uuid::Uuid;

pub(super) const CONTAINERS: &str = "needs a container engine; scripts/suites/containers.sh runs it";

pub(super) struct Tour<'d> {
    pub(super) page: Page,
    pub(super) place: Place<'d>,
    pub(super) database: &'d Database<'d>,
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

    pub(super) fn wait_completed(&self, job: Uuid) {
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
}
