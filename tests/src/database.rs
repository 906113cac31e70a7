//! A fresh database for one test, dropped with the test.

use crate::psql::Psql;
use crate::{Cluster, Session};
use std::sync::atomic::{AtomicU32, Ordering};

/// One database of a cluster.
pub struct Database<'c> {
    cluster: &'c Cluster,
    name: String,
    kept: bool,
}

impl Database<'static> {
    /// With the extension, in the shared cluster without background workers.
    #[track_caller]
    pub fn quiet() -> Self {
        Database::copy_of("with_extension", Cluster::quiet(), |template| {
            template.session().run("create extension pg_worker_ext");
        })
    }

    /// With the extension and a background worker of its own.
    #[track_caller]
    pub fn live() -> Self {
        Database::with_extension(Cluster::live())
    }

    /// The SQL-only installation, as on a hosted PostgreSQL: one file, no extension, no library.
    #[track_caller]
    pub fn sql_only() -> Self {
        Database::copy_of("with_single_file", Cluster::plain(), Database::install_sql_only)
    }
}

impl<'c> Database<'c> {
    /// A database with nothing in it.
    #[track_caller]
    pub fn empty(cluster: &'c Cluster) -> Self {
        // template0: nobody can be connected to it, so this never waits for anybody.
        Database::copy(cluster, "template0")
    }

    /// A database with nothing in it of another encoding or locale: `options` are those of CREATE DATABASE. What
    /// the server says where it cannot make it.
    pub fn of_locale(cluster: &'c Cluster, options: &str) -> Result<Self, postgres::Error> {
        let name = Database::fresh_name();
        let sql = format!("create database {name} template template0 {options}");
        cluster.session("postgres").batch_execute(&sql)?;
        Ok(Database {
            cluster,
            name,
            kept: false,
        })
    }

    fn fresh_name() -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed))
    }

    /// A copy of a database that the first caller fills: five times as fast as filling each. Only
    /// where no background worker would sit in the template.
    #[track_caller]
    fn copy_of(template: &str, cluster: &'c Cluster, fill: impl FnOnce(&Database<'c>)) -> Self {
        let mut templates = cluster.templates.lock().expect("templates");
        if !templates.iter().any(|name| name == template) {
            let mut admin = cluster.session("postgres");
            admin.run(&format!("create database {template} template template0"));
            let name = template.to_owned();
            fill(&Database {
                cluster,
                name,
                kept: true,
            });
            templates.push(template.to_owned());
        }
        drop(templates);
        Database::copy(cluster, template)
    }

    #[track_caller]
    fn copy(cluster: &'c Cluster, template: &str) -> Self {
        let name = Database::fresh_name();
        let mut admin = cluster.session("postgres");
        admin.run(&format!("create database {name} template {template}"));
        Database {
            cluster,
            name,
            kept: false,
        }
    }

    /// A database in which the extension was created.
    #[track_caller]
    pub fn with_extension(cluster: &'c Cluster) -> Self {
        let database = Database::empty(cluster);
        database.session().run("create extension pg_worker_ext");
        database
    }

    /// Runs the generated single file as a user would.
    #[track_caller]
    pub fn install_sql_only(&self) {
        Psql::new(self).file("sql/pg_worker_ext.sql").succeeds();
    }

    /// The database of the same name in another cluster, which is there already.
    pub fn in_cluster<'o>(&self, cluster: &'o Cluster) -> Database<'o> {
        let name = self.name.clone();
        Database {
            cluster,
            name,
            kept: true,
        }
    }

    /// A session of the superuser.
    #[track_caller]
    pub fn session(&self) -> Session {
        self.cluster.session(&self.name)
    }

    /// A session of another role.
    #[track_caller]
    pub fn session_as(&self, role: &str) -> Session {
        Session::open(self.config().user(role))
    }

    /// How to connect as the superuser.
    pub fn config(&self) -> postgres::Config {
        self.cluster.config(&self.name)
    }

    /// The superuser's URL.
    pub fn url(&self) -> String {
        self.url_as("postgres")
    }

    /// Another role's URL.
    pub fn url_as(&self, role: &str) -> String {
        self.cluster.url(role, &self.name)
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster that it lies in.
    pub fn cluster(&self) -> &'c Cluster {
        self.cluster
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // A server that a test has stopped, or a failing test's open sessions, are no reason to
        // panic here: the cluster goes away as a whole at the end.
        if let Ok(mut session) = Session::try_open(&self.cluster.config("postgres")) {
            let _ = session.batch_execute(&format!("drop database if exists {} with (force)", self.name));
        }
    }
}
