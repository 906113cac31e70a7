//! `sslmode` and `sslrootcert` as libpq users know them, against a PostgreSQL whose certificate a private
//! authority has signed.

use super::doctor::{at, finds};
use super::ends;
use crate::steps::enqueue_quests;
use pg_worker_tests::account::give_to_server;
use pg_worker_tests::install::temporary_folder;
use pg_worker_tests::{BOUND, Cluster, Database, Proxy, Reply, StubLlm, Trap};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An authority of one's own, with its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, issuer.pem()).expect("write");
        Authority { issuer, file }
    }

    /// Certificate and key of a server named localhost, as settings of `postgresql.conf`.
    fn server(&self, folder: &Path, valid_until: i32) -> [String; 3] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(valid_until, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let files = [
            ("server.crt", certificate.pem()),
            ("server.key", key.serialize_pem()),
        ];
        let [certificate, key] = files.map(|(name, text)| {
            let file = folder.join(name);
            std::fs::write(&file, text).expect("write");
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("chmod");
            give_to_server(&file);
            file
        });
        [
            "ssl = on".to_owned(),
            format!("ssl_cert_file = '{}'", certificate.display()),
            format!("ssl_key_file = '{}'", key.display()),
        ]
    }
}

/// A server into which the role gpu comes encrypted only, and what is needed to come in.
struct Secured {
    cluster: Cluster,
    right: Authority,
    wrong: Authority,
}

impl Secured {
    fn until(year: i32) -> Secured {
        let folder = temporary_folder("pgw-tls-");
        let (right, wrong) = (Authority::new(&folder, "right"), Authority::new(&folder, "wrong"));
        let hba = folder.join("hba");
        std::fs::write(
            &hba,
            "hostssl all gpu all trust\nhostnossl all postgres all trust\n",
        )
        .expect("write");
        give_to_server(&hba);
        let mut settings = right.server(&folder, year).to_vec();
        settings.push(format!("hba_file = '{}'", hba.display()));
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        Secured {
            cluster: Cluster::own(&settings),
            right,
            wrong,
        }
    }

    fn database(&self) -> Database<'_> {
        let database = Database::with_extension(&self.cluster);
        database
            .session()
            .run("create role gpu login; select worker.grant_executor('gpu')");
        database
    }
}

/// Comes in, and hears.
#[track_caller]
fn comes_in(url: &str) {
    let report = ends(at(url), "doctor", 0);
    finds(&report, "ok", "rights", "");
    finds(&report, "ok", "notification", "");
}

/// Does not, for this reason.
#[track_caller]
fn stays_out(url: &str, why: &str) {
    let report = ends(at(url), "doctor", 1);
    finds(&report, "fail", "database", why);
}

#[test]
fn every_mode_with_the_right_and_the_wrong_authority() {
    let secured = Secured::until(2100);
    let database = secured.database();
    let url = |host: &str, query: &str| {
        format!(
            "postgres://gpu@{host}:{}/{}?{query}",
            secured.cluster.port(),
            database.name()
        )
    };
    let (right, wrong) = (secured.right.file.display(), secured.wrong.file.display());
    // The certificate says localhost, so by its number the host is another one.
    for query in ["", "sslmode=prefer", "sslmode=require"] {
        comes_in(&url("127.0.0.1", query));
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        comes_in(&url("localhost", &format!("sslmode={mode}&sslrootcert={right}")));
        stays_out(
            &url("localhost", &format!("sslmode={mode}&sslrootcert={wrong}")),
            "UnknownIssuer",
        );
    }
    comes_in(&url(
        "127.0.0.1",
        &format!("sslmode=verify-ca&sslrootcert={right}"),
    ));
    stays_out(
        &url("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={right}")),
        "not valid for name",
    );
    // Nobody has heard of the authority.
    stays_out(&url("localhost", "sslmode=verify-full"), "UnknownIssuer");
    stays_out(&url("localhost", "sslmode=disable"), "no encryption");
    // As libpq has it: who names the machine's authorities wants to be sure.
    stays_out(&url("localhost", "sslrootcert=system"), "UnknownIssuer");
    stays_out(
        &url("localhost", "sslmode=verify-full&sslrootcert=system"),
        "UnknownIssuer",
    );
    for weak in ["disable", "prefer", "require", "verify-ca"] {
        stays_out(
            &url("localhost", &format!("sslmode={weak}&sslrootcert=system")),
            "verify-full",
        );
    }
}

#[test]
fn a_certificate_that_has_run_out_is_none() {
    let secured = Secured::until(2021);
    let database = secured.database();
    let url = |query: String| {
        format!(
            "postgres://gpu@localhost:{}/{}?{query}",
            secured.cluster.port(),
            database.name()
        )
    };
    for mode in ["verify-ca", "verify-full"] {
        stays_out(
            &url(format!(
                "sslmode={mode}&sslrootcert={}",
                secured.right.file.display()
            )),
            "expired",
        );
    }
    comes_in(&url("sslmode=require".into()));
}

#[test]
fn a_handshake_that_is_cut_is_begun_again() {
    let secured = Secured::until(2100);
    let database = Database::empty(&secured.cluster);
    let mut session = database.session();
    // One transaction: the background worker sees no pool that it should fill.
    session.run(
        "create extension pg_worker_ext; update content_pools set enabled = false;
         create role gpu login; select worker.grant_executor('gpu')",
    );
    let (model, proxy) = (StubLlm::start(), Proxy::start(secured.cluster.port()));
    model.answers(|_| Reply::Slow(Duration::from_millis(10)));
    let url = format!(
        "postgres://gpu@localhost:{}/{}?sslmode=require",
        proxy.port(),
        database.name()
    );
    let _executor = at(&url).model(&model).env("WORKER_MAX_IN_FLIGHT", "1").start();
    let job = enqueue_quests(&mut session, 8);
    for stored in [1, 3, 5] {
        let so_many = format!("select stored >= {stored} from worker_jobs where id = '{job}'");
        session.wait_until_true(&so_many, BOUND);
        // The name of the server stands in the first message of a handshake.
        proxy.trap("localhost", Trap::LoseAnswer);
        proxy.cut();
    }
    let done = format!("select status = 'completed' and attempts = 1 from worker_jobs where id = '{job}'");
    session.wait_until_true(&done, BOUND);
    assert!(proxy.trapped() > 0, "no handshake was cut");
    assert_eq!(model.chats().len(), 8, "what was written is not thrown away");
}

#[test]
fn a_server_without_tls_is_met_by_those_who_do_not_insist() {
    let database = Database::quiet();
    for mode in ["disable", "allow", "prefer"] {
        comes_in(&format!("{}?sslmode={mode}", database.url()));
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        stays_out(
            &format!("{}?sslmode={mode}", database.url()),
            "does not support TLS",
        );
    }
}
