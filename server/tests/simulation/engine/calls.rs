//! The machine as an engine: each call is late, lost, refused or lied about as the dice will.

use super::*;

#[async_trait]
impl Engine for SimEngine {
    async fn health(&self) -> Result<Health> {
        self.reach().await?;
        Ok(Health { version: "simulated".to_owned(), keeps_containers: true })
    }

    async fn capacity(&self) -> Result<Capacity> {
        self.reach().await?;
        Ok(Capacity { memory_bytes: self.machine.memory_bytes, cores: 2 })
    }

    async fn workspaces(&self) -> Result<BTreeSet<String>> {
        self.reach().await?;
        let workspaces = self.machine.held().workspaces.clone();
        self.answer(workspaces).await
    }

    async fn has_image(&self, _image: &str) -> Result<bool> {
        Ok(true)
    }

    async fn survey(&self) -> Result<World> {
        self.reach().await?;
        let dice = &self.machine.dice;
        let world = {
            let mut held = self.machine.held();
            let made = held.containers.values().map(|container| container.spec.runtime_id);
            let ids: BTreeSet<RuntimeId> = made.chain(held.isolations.iter().copied()).chain(held.configurations.keys().copied()).collect();
            let tidies = |id: &RuntimeId| self.machine.broken != Break::NeverTidies || self.machine.has_row(*id);
            let world: World = ids.into_iter().filter(tidies).map(|id| (id, self.seen(&held, id))).collect();
            // A stale view: what it said a while ago.
            let old = std::mem::replace(&mut held.old, world.clone());
            if dice.fault(10) { old } else { world }
        };
        self.answer(world).await
    }

    async fn look(&self, runtime_id: RuntimeId) -> Result<Seen> {
        self.reach().await?;
        let seen = self.seen(&self.machine.held(), runtime_id);
        self.answer(seen).await
    }

    async fn isolate(&self, runtime_id: RuntimeId) -> Result<Isolation> {
        self.effect(Some(isolation()), |held| {
            held.isolations.insert(runtime_id);
            Ok(isolation())
        })
        .await
    }

    async fn release(&self, runtime_id: RuntimeId) -> Result<()> {
        self.effect(Some(()), |held| {
            held.isolations.remove(&runtime_id);
            held.configurations.remove(&runtime_id);
            Ok(())
        })
        .await
    }

    async fn keep_workspace(&self, workspace: &str) -> Result<()> {
        self.effect(Some(()), |held| {
            held.workspaces.insert(workspace.to_owned());
            if self.machine.broken == Break::CopiesWorkspaces {
                held.workspaces.insert(format!("{workspace}-copy"));
            }
            Ok(())
        })
        .await
    }

    async fn measure_workspace(&self, workspace: &str) -> Result<Option<i64>> {
        self.reach().await?;
        let there = self.machine.held().workspaces.contains(workspace);
        self.answer(there.then_some(WORKSPACE_HOLDS)).await
    }

    async fn wipe_workspace(&self, workspace: &str) -> Result<()> {
        let database = Arc::clone(&self.machine.database);
        self.effect(Some(()), |held| {
            if held.containers.values().any(|container| container.spec.workspace == workspace) {
                return Err(Problem::new(Code::Conflict, "The workspace is in use.").into());
            }
            if held.workspaces.remove(workspace) {
                let tables = database.tables();
                let asked = tables.rows.values().any(|kept| {
                    kept.row.volume == workspace
                        && kept.row.desired_state == DesiredState::Deleted
                        && kept.row.retention == Some(Retention::WipeWorkspace)
                });
                let used = tables
                    .rows
                    .values()
                    .any(|kept| kept.row.volume == workspace && !kept.gone && kept.row.desired_state != DesiredState::Deleted);
                if !asked || used {
                    let told = format!("a workspace was wiped that nobody asked for (asked {asked}, used {used})");
                    held.wrongs.push(Invariant::NoWorkspaceWipedUnasked.broken(told));
                }
            }
            Ok(())
        })
        .await
    }

    async fn configure(&self, runtime_id: RuntimeId, configuration: &str) -> Result<()> {
        self.effect(Some(()), |held| {
            held.configurations.insert(runtime_id, configuration.to_owned());
            held.written.insert(runtime_id, configuration.to_owned());
            Ok(())
        })
        .await
    }

    async fn create(&self, spec: &RuntimeSpec) -> Result<()> {
        let name = self.machine.name(spec);
        self.effect(Some(()), |held| {
            if !held.isolations.contains(&spec.runtime_id) || !held.workspaces.contains(&spec.workspace) {
                return Err(Problem::new(Code::RuntimeStartFailed, "Its place is not there.").into());
            }
            let made = Container {
                spec: spec.clone(),
                state: ContainerState::Created,
                limits: spec.limits(),
                granted: spec.memory_bytes,
                breaches: Vec::new(),
                ready_at: None,
            };
            held.containers.entry(name).or_insert(made);
            if self.machine.broken == Break::LosesWorkspaces {
                held.workspaces.remove(&spec.workspace);
            }
            Ok(())
        })
        .await?;
        self.machine.tell(spec.runtime_id);
        Ok(())
    }

    async fn start(&self, runtime_id: RuntimeId) -> Result<()> {
        let (since, dice) = (self.machine.clock.now(), Arc::clone(&self.machine.dice));
        self.effect(Some(()), |held| {
            let Some(container) = self.find(held, runtime_id).and_then(|name| held.containers.get_mut(&name)) else {
                return Err(Problem::new(Code::RuntimeStartFailed, "No such container.").into());
            };
            if matches!(container.state, ContainerState::Running { .. } | ContainerState::Frozen { .. }) {
                return Ok(());
            }
            if dice.fault(12) {
                container.state = ContainerState::Ended { code: 1, out_of_memory: dice.once_in(3) };
                return Ok(());
            }
            held.started += 1;
            let address = Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0ad5_0000 + held.started)), OPENCLAW_PORT));
            held.claws.entry(runtime_id).or_default().begin();
            let Some(container) = self.find(held, runtime_id).and_then(|name| held.containers.get_mut(&name)) else { return Ok(()) };
            container.state = ContainerState::Running { since, address };
            container.ready_at = (!dice.fault(12)).then(|| since + Duration::from_millis(1000 + dice.below(12_000)));
            Ok(())
        })
        .await?;
        self.machine.tell(runtime_id);
        Ok(())
    }

    async fn is_ready(&self, runtime_id: RuntimeId) -> Result<bool> {
        self.reach().await?;
        let now = self.machine.clock.now();
        let ready = {
            let held = self.machine.held();
            let container = self.find(&held, runtime_id).and_then(|name| held.containers.get(&name).cloned());
            let takes = held.claws.get(&runtime_id).is_none_or(|claw| !claw.is_closed(now));
            container.is_some_and(|container| {
                takes && matches!(container.state, ContainerState::Running { .. }) && container.ready_at.is_some_and(|at| at <= now)
            })
        };
        self.answer(ready).await
    }

    async fn stop(&self, runtime_id: RuntimeId, _grace: Duration) -> Result<()> {
        self.effect(Some(()), |held| {
            let Some(name) = self.find(held, runtime_id) else { return Ok(()) };
            self.machine.ended_by_us(held, &name);
            self.machine.puts_to_sleep(held, runtime_id);
            if let Some(container) = held.containers.get_mut(&name)
                && matches!(container.state, ContainerState::Running { .. } | ContainerState::Frozen { .. })
            {
                container.state = ContainerState::Ended { code: 0, out_of_memory: false };
            }
            Ok(())
        })
        .await?;
        self.machine.tell(runtime_id);
        Ok(())
    }

    async fn freeze(&self, runtime_id: RuntimeId) -> Result<()> {
        self.still(runtime_id, true).await
    }

    async fn thaw(&self, runtime_id: RuntimeId) -> Result<()> {
        self.still(runtime_id, false).await
    }

    async fn update(&self, runtime_id: RuntimeId, limits: &Limits) -> Result<()> {
        self.effect(Some(()), |held| {
            if let Some(container) = self.find(held, runtime_id).and_then(|name| held.containers.get_mut(&name)) {
                (container.limits, container.granted) = (*limits, limits.memory_bytes);
            }
            Ok(())
        })
        .await?;
        self.machine.tell(runtime_id);
        Ok(())
    }

    async fn remove(&self, runtime_id: RuntimeId) -> Result<()> {
        self.effect(Some(()), |held| {
            if let Some(name) = self.find(held, runtime_id) {
                self.machine.ended_by_us(held, &name);
                held.containers.remove(&name);
            }
            Ok(())
        })
        .await?;
        self.machine.tell(runtime_id);
        Ok(())
    }

    async fn stats(&self, _runtime_id: RuntimeId) -> Result<Option<RuntimeStats>> {
        Ok(None)
    }

    async fn logs(&self, _runtime_id: RuntimeId, _lines: usize) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn output(&self, _: RuntimeId, _: Option<OffsetDateTime>, _: bool) -> Result<BoxStream<'static, LogLine>> {
        Ok(futures::stream::empty().boxed())
    }

    async fn hold_walls(&self) -> Result<()> {
        self.reach().await
    }

    async fn lift_walls(&self) -> Result<()> {
        self.reach().await
    }

    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>> {
        self.reach().await?;
        let events = tokio_stream::wrappers::BroadcastStream::new(self.machine.events.subscribe());
        Ok(events.filter_map(|event| futures::future::ready(event.ok())).boxed())
    }
}
