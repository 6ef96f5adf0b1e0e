//! What the chart installs, as processes: two replicas of the operator, and two dataplanes that follow one each.

use anyhow::{Result, ensure};

use super::relay::Relay;
use crate::api::processes::{Dataplane, Operator};
use crate::api::world::{Namespace, World};
use crate::suite::{PATIENCE, until};

const PODS: [(&str, &str); 2] = [("operator-a", "proxy-a"), ("operator-b", "proxy-b")];
/// The chart's log level.
const ARGUMENTS: [&str; 1] = ["--log=info"];

/// Everything that is measured.
pub(super) struct Installation<'w> {
    pub(super) namespace: Namespace<'w>,
    pairs: Vec<Pair>,
}

/// A replica of the operator and the dataplane that follows it.
pub(super) struct Pair {
    pub(super) operator: Operator,
    pub(super) relay: Relay,
    pub(super) dataplane: Dataplane,
    pub(super) proxy: &'static str,
}

impl<'w> Installation<'w> {
    /// Starts all of it on an empty catalogue. The first replica leads.
    pub(super) async fn start(world: &'w World) -> Result<Self> {
        let namespace = world.namespace("scale").await?;
        let mut pairs: Vec<Pair> = Vec::new();
        for (pod, proxy) in PODS {
            let mut operator = namespace.operator(pod, &ARGUMENTS)?;
            operator.platform.wait_ready()?;
            until("the first replica leads", PATIENCE, async || {
                let first = pairs.first().map_or(&operator, |pair| &pair.operator);
                ensure!(first.leads()?, "it does not");
                Ok(())
            })
            .await?;
            let relay = Relay::start(operator.tables).await?;
            operator.tables = relay.address();
            let dataplane = namespace.ready_dataplane(proxy, &operator).await?;
            pairs.push(Pair { operator, relay, dataplane, proxy });
        }
        namespace.set_ready_pods(&PODS.map(|(_, proxy)| proxy)).await?;
        Ok(Self { namespace, pairs })
    }

    pub(super) fn world(&self) -> &'w World {
        self.namespace.world
    }

    /// The replica that writes statuses.
    pub(super) fn leader(&self) -> &Operator {
        &self.pairs[0].operator
    }

    /// The replica that does not lead, with its dataplane: what may be started anew without stopping anything.
    pub(super) fn spare(&mut self) -> (&Namespace<'w>, &mut Pair) {
        (&self.namespace, &mut self.pairs[1])
    }

    pub(super) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Every process, by name.
    pub(super) async fn processes(&self) -> Vec<(String, u32)> {
        let operators = self.pairs.iter().map(|pair| (pair.operator.pod.clone(), pair.operator.platform.id()));
        let dataplanes = self.pairs.iter().map(|pair| (pair.proxy.to_owned(), pair.dataplane.platform.id()));
        let server = self.world().server.lock().await;
        let servers = server.processes().map(|(name, id)| (name.to_owned(), id));
        operators.chain(dataplanes).chain(servers).collect()
    }

    /// The bytes that operators have sent to dataplanes.
    pub(super) fn pushed(&self) -> u64 {
        self.pairs.iter().map(|pair| pair.relay.sent()).sum()
    }
}

impl Pair {
    /// Starts the operator anew and waits until it is ready.
    pub(super) fn restart_operator(&mut self, namespace: &Namespace<'_>) -> Result<()> {
        let pod = self.operator.pod.clone();
        self.operator = namespace.operator_at(&pod, self.relay.to(), &ARGUMENTS)?;
        self.operator.tables = self.relay.address();
        self.operator.platform.wait_ready()
    }
}
