//! What is only for people to see: how things stand here and there. No work waits for it.

use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::pool::Durability::{self, Lazy, Sure};
use super::pool::Purpose::Show;
use super::rows::column;
use super::{BatchEstimate, Door, DoorError, Parameter, PoolLevel, QueueLevel};

/// The pools of one kind that are at one level, together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindLevel {
    pub kind: String,
    pub level: String,
    pub pools: i64,
    pub available: i64,
    pub minimum: i64,
    pub on_the_way: i64,
}

impl Door {
    pub async fn report_executor(&self, executor: Uuid, info: &Value) -> Result<(), DoorError> {
        let parameters: [Parameter<'_>; 2] = [(&executor, Type::UUID), (info, Type::JSONB)];
        let sql = "select worker.report_executor($1, $2)";
        self.shown(Lazy, sql, &parameters).await.map(drop)
    }

    pub async fn pool_status(&self) -> Result<Vec<PoolLevel>, DoorError> {
        let sql = "select * from worker.pool_status()";
        let rows = self.shown(Sure, sql, &[]).await?;
        rows.iter().map(PoolLevel::from_row).collect()
    }

    /// The same in a few rows, however many pools a kind has.
    pub async fn kind_levels(&self) -> Result<Vec<KindLevel>, DoorError> {
        let sql = "select kind, level, count(*) as pools, sum(available)::bigint as available, \
                   sum(min_size)::bigint as minimum, sum(on_the_way)::bigint as on_the_way \
                   from worker.pool_status() group by kind, level order by kind, level";
        let rows = self.shown(Sure, sql, &[]).await?;
        rows.iter().map(KindLevel::from_row).collect()
    }

    pub async fn queue_status(&self) -> Result<Vec<QueueLevel>, DoorError> {
        let sql = "select * from worker.queue_status()";
        let rows = self.shown(Sure, sql, &[]).await?;
        rows.iter().map(QueueLevel::from_row).collect()
    }

    /// How long batches take at this speed, one request at a time.
    pub async fn batch_estimates(&self, tokens_per_second: f64) -> Result<Vec<BatchEstimate>, DoorError> {
        let given: [Parameter<'_>; 1] = [(&tokens_per_second, Type::FLOAT8)];
        let sql = "select * from worker.batch_estimates($1)";
        let rows = self.shown(Sure, sql, &given).await?;
        rows.iter().map(BatchEstimate::from_row).collect()
    }

    /// Sends a notification that a listening connection should hear.
    pub async fn notify_echo(&self, payload: &str) -> Result<(), DoorError> {
        let parameters: [Parameter<'_>; 1] = [(&payload, Type::TEXT)];
        let sql = "select pg_notify('worker_jobs', $1)";
        self.shown(Sure, sql, &parameters).await.map(drop)
    }

    async fn shown(
        &self,
        durability: Durability,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, DoorError> {
        let bound = self.pool.bound();
        self.pool.rows_for(Show, bound, durability, sql, parameters).await
    }
}

impl KindLevel {
    fn from_row(row: &Row) -> Result<Self, DoorError> {
        Ok(Self {
            kind: column(row, "kind")?,
            level: column(row, "level")?,
            pools: column(row, "pools")?,
            available: column(row, "available")?,
            minimum: column(row, "minimum")?,
            on_the_way: column(row, "on_the_way")?,
        })
    }
}
