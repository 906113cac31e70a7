//! The verbs. Each is one statement, typed here, so that it also works through a transaction pooler.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::pool::Durability::{Lazy, Sure};
use super::pool::Purpose::{Beat, Work};
use super::rows::{column, still_ours};
use super::{About, Door, DoorError, Gone, Lease, Next, Order, Parameter, Server, Stored};
use crate::rejection::Rejection;

/// Which item of which job, and the proof that the job is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemId {
    pub job_id: Uuid,
    pub token: Uuid,
    pub item_no: i32,
}

impl Door {
    pub async fn contract_version(&self) -> Result<i32, DoorError> {
        let sql = "select worker.contract_version() as version";
        match self.one(sql, &[]).await {
            Ok(row) => column(&row, "version"),
            // A schema of that name, and no such function in it.
            Err(DoorError::Refused { sqlstate, message }) if sqlstate == "42883" => {
                Err(DoorError::Absent(message))
            }
            Err(error) => Err(error),
        }
    }

    pub async fn about(&self) -> Result<About, DoorError> {
        let about: Value = column(&self.one("select worker.about() as about", &[]).await?, "about")?;
        serde_json::from_value(about).map_err(|error| DoorError::Shape(format!("worker.about(): {error}")))
    }

    /// Whom this connection has reached, whatever is installed there.
    pub async fn server(&self) -> Result<Server, DoorError> {
        let sql = "select current_user::text as role, current_setting('server_version') as version, \
                   current_setting('transaction_read_only')::boolean as read_only, clock_timestamp() as now";
        Server::from_row(&self.one(sql, &[]).await?)
    }

    /// The functions of the executor's door that this role may not call.
    pub async fn missing_rights(&self) -> Result<Vec<String>, DoorError> {
        let sql = "select p.oid::regprocedure::text as name from pg_catalog.pg_proc p \
                   join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
                   where n.nspname = 'worker' and p.prosecdef and p.prorettype <> 'trigger'::regtype \
                   and not has_function_privilege(p.oid, 'execute') order by 1";
        let rows = self.pool.rows(Sure, sql, &[]).await?;
        rows.iter().map(|row| column(row, "name")).collect()
    }

    pub async fn unregister_executor(&self, executor: Uuid) -> Result<(), DoorError> {
        let parameters: [Parameter<'_>; 1] = [(&executor, Type::UUID)];
        self.pool
            .rows(Sure, "select worker.unregister_executor($1)", &parameters)
            .await
            .map(drop)
    }

    /// Takes up to `limit` due jobs, none less urgent than `least_priority`.
    pub async fn lease_jobs(
        &self,
        executor: Uuid,
        limit: i32,
        seconds: i32,
        least_priority: i32,
    ) -> Result<Vec<Lease>, DoorError> {
        let parameters: [Parameter<'_>; 4] = [
            (&executor, Type::UUID),
            (&limit, Type::INT4),
            (&seconds, Type::INT4),
            (&least_priority, Type::INT4),
        ];
        let rows = self
            .pool
            .rows(
                Lazy,
                "select * from worker.lease_jobs($1, $2, $3, $4)",
                &parameters,
            )
            .await?;
        rows.iter().map(Lease::from_row).collect()
    }

    /// Takes a due job of a pool in which nothing is left.
    pub async fn lease_for_empty_pool(&self, executor: Uuid, seconds: i32) -> Result<Vec<Lease>, DoorError> {
        let parameters: [Parameter<'_>; 2] = [(&executor, Type::UUID), (&seconds, Type::INT4)];
        let sql = "select * from worker.lease_for_empty_pool($1, $2)";
        let rows = self.pool.rows(Lazy, sql, &parameters).await?;
        rows.iter().map(Lease::from_row).collect()
    }

    /// Renews the leases, each given as job and token; answers which tokens are worth nothing any more, and why.
    pub async fn heartbeat(
        &self,
        jobs: &[(Uuid, Uuid)],
        seconds: i32,
    ) -> Result<Vec<(Uuid, Gone)>, DoorError> {
        let (ids, tokens): (Vec<Uuid>, Vec<Uuid>) = jobs.iter().copied().unzip();
        let parameters: [Parameter<'_>; 3] = [
            (&ids, Type::UUID_ARRAY),
            (&tokens, Type::UUID_ARRAY),
            (&seconds, Type::INT4),
        ];
        // So that there is time for several in the life of a lease.
        let part = Duration::from_secs(u64::from(seconds.unsigned_abs())) / 4;
        let bound = self.pool.bound().min(part);
        let sql = "select * from worker.heartbeat($1, $2, $3)";
        let rows = self.pool.rows_for(Beat, bound, Lazy, sql, &parameters).await?;
        let mut lost = Vec::new();
        for row in &rows {
            if let Some(gone) = still_ours(&column::<String>(row, "outcome")?)? {
                let job: Uuid = column(row, "job_id")?;
                lost.extend(
                    jobs.iter()
                        .filter(|(of, _)| *of == job)
                        .map(|(_, token)| (*token, gone.clone())),
                );
            }
        }
        Ok(lost)
    }

    /// The next item of a job, or (`item_no` given) another try at one.
    pub async fn next_item(
        &self,
        lease: &Lease,
        in_flight: &[i32],
        try_no: i32,
        item_no: Option<i32>,
    ) -> Result<Next, DoorError> {
        let parameters: [Parameter<'_>; 5] = [
            (&lease.job_id, Type::UUID),
            (&lease.token, Type::UUID),
            (&in_flight, Type::INT4_ARRAY),
            (&try_no, Type::INT4),
            (&item_no, Type::INT4),
        ];
        Next::from_row(
            &self
                .one("select * from worker.next_item($1, $2, $3, $4, $5)", &parameters)
                .await?,
        )
    }

    pub async fn store_item(
        &self,
        id: ItemId,
        item: &Value,
        provenance: &Value,
    ) -> Result<Stored, DoorError> {
        let parameters: [Parameter<'_>; 5] = [
            (&id.job_id, Type::UUID),
            (&id.token, Type::UUID),
            (&id.item_no, Type::INT4),
            (item, Type::JSONB),
            (provenance, Type::JSONB),
        ];
        Stored::from_row(
            &self
                .one("select * from worker.store_item($1, $2, $3, $4, $5)", &parameters)
                .await?,
        )
    }

    /// Counts a rejection; answers whether the job is gone meanwhile.
    pub async fn reject_item(
        &self,
        id: ItemId,
        rejection: &Rejection,
        provenance: &Value,
    ) -> Result<Option<Gone>, DoorError> {
        let parameters: [Parameter<'_>; 6] = [
            (&id.job_id, Type::UUID),
            (&id.token, Type::UUID),
            (&id.item_no, Type::INT4),
            (&rejection.class.name(), Type::TEXT),
            (&rejection.reason, Type::TEXT),
            (provenance, Type::JSONB),
        ];
        let sql = "select worker.reject_item($1, $2, $3, $4, $5, $6) as outcome";
        still_ours(&column::<String>(&self.one(sql, &parameters).await?, "outcome")?)
    }

    /// One round of maintenance, for databases without a background worker. With many pools it takes its
    /// time, and no lease waits for it.
    pub async fn tick(&self) -> Result<(), DoorError> {
        let bound = 3 * self.pool.bound();
        let rows = self.pool.rows_for(Work, bound, Sure, "select worker.tick()", &[]);
        rows.await.map(drop)
    }

    /// Time until the next known thing is due. Counted by the database: the clocks may differ.
    pub async fn next_due(&self) -> Result<Option<Duration>, DoorError> {
        let sql = "select extract(epoch from worker.next_due() - clock_timestamp())::float8 as seconds";
        let seconds: Option<f64> = column(&self.one(sql, &[]).await?, "seconds")?;
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
    }

    pub async fn preview_item(
        &self,
        kind: &str,
        parameters: Option<&Value>,
        try_no: i32,
    ) -> Result<Order, DoorError> {
        let given: [Parameter<'_>; 3] = [
            (&kind, Type::TEXT),
            (&parameters, Type::JSONB),
            (&try_no, Type::INT4),
        ];
        Order::from_row(
            &self
                .one("select * from worker.preview_item($1, $2, $3)", &given)
                .await?,
            1,
        )
    }

    /// The kind's own rules: None when the item is good, else what is wrong with it.
    pub async fn check_item(
        &self,
        kind: &str,
        parameters: Option<&Value>,
        item: &Value,
    ) -> Result<Option<String>, DoorError> {
        let given: [Parameter<'_>; 3] = [
            (&kind, Type::TEXT),
            (&parameters, Type::JSONB),
            (item, Type::JSONB),
        ];
        column(
            &self
                .one("select worker.check_item($1, $2, $3) as problem", &given)
                .await?,
            "problem",
        )
    }

    pub(super) async fn one(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Row, DoorError> {
        let mut rows = self.pool.rows(Sure, sql, parameters).await?;
        rows.pop()
            .ok_or_else(|| DoorError::Shape(format!("no row from: {sql}")))
    }
}
