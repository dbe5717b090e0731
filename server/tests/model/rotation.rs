//! The master key is rotated while secrets are sealed and opened: by one server and by two, cut off between any two steps, with keys that are missing.

use contract::{Caller, Code, NewProvider, PersonId, ProviderKind, Role, SessionId};
use secrecy::ExposeSecret as _;
use server::{
    clock::{Clock, SystemClock},
    config::Config,
    data::{self, Pool, listen::Changes},
    doctor,
    model::{Service, providers, reseal, vault::Vault},
    platform::{keyring::Keyring, master_key},
};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// A server with its keys on the disk.
struct Server {
    config: Arc<Config>,
    keys: Arc<Keyring>,
    service: Arc<Service>,
    pool: Pool,
}

fn settings(folder: &Path) -> Config {
    let mut config = Config::for_tests();
    config.data.data_dir = folder.to_owned();
    config
}

impl Server {
    /// One that starts with these settings.
    async fn start(pool: &Pool, config: Config) -> server::Result<Self> {
        let config = Arc::new(config);
        let keys = Arc::new(Keyring::load(&config)?);
        keys.join(pool).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let service = Service::new(pool.clone(), clock, Arc::clone(&config), Arc::clone(&keys), Changes::new())?;
        Ok(Self { config, keys, service, pool: pool.clone() })
    }

    async fn at(pool: &Pool, folder: &Path) -> Self {
        Self::start(pool, settings(folder)).await.unwrap()
    }

    /// As a killed one, it is soon not waited for any more.
    async fn die(self) {
        self.keys.leave(&self.pool).await.unwrap();
    }

    async fn add(&self, name: &str) -> server::Result<()> {
        sqlx::query(
            "insert into person (person_id, email, name, role, password_hash)
             values ($1, 'mira@example.org', 'Mira', 'administrator', '') on conflict do nothing",
        )
        .bind(uuid::Uuid::nil())
        .execute(&self.pool)
        .await
        .unwrap();
        let admin = Caller {
            person_id: PersonId(uuid::Uuid::nil()),
            session_id: SessionId(uuid::Uuid::nil()),
            email: "mira@example.org".to_owned(),
            name: "Mira".to_owned(),
            role: Role::Administrator,
            time_zone: "UTC".to_owned(),
        };
        let new = NewProvider {
            kind: ProviderKind::OpenAi,
            name: name.to_owned(),
            base_url: None,
            allows_private: true,
            region: None,
            is_direct: false,
            secret: Some(format!("sk-of-{name}")),
        };
        providers::add(&self.service, &admin, new).await.map(drop)
    }

    /// How many secrets it opens, or what stands in the way.
    async fn opens(&self) -> server::Result<usize> {
        let vault = Vault::new(Arc::clone(&self.keys));
        let mut count = 0;
        for row in data::provider::all(&mut *self.pool.acquire().await?).await? {
            let (Some(sealed), Some(key_id)) = (&row.secret_sealed, &row.secret_key_id) else { continue };
            let secret = vault.open(row.provider_id, key_id, sealed)?;
            assert_eq!(secret.expose_secret(), format!("sk-of-{}", row.name));
            count += 1;
        }
        Ok(count)
    }

    async fn may_remove_older(&self) -> server::Result<()> {
        let newest = master_key::read(&self.config.data)?.remove(0);
        reseal::may_remove_older(&self.pool, &newest).await
    }

    async fn doctor(&self) -> (String, Option<String>) {
        let part = doctor::master_key(&self.config, Some(&self.pool)).await;
        (part.detail, part.problem.map(|problem| problem.message))
    }
}

/// Which key seals how many secrets.
async fn sealed(pool: &Pool) -> Vec<(String, i64)> {
    sqlx::query_as("select secret_key_id, count(*) from provider where secret_sealed is not null group by 1 order by 2, 1")
        .fetch_all(pool)
        .await
        .unwrap()
}

async fn noted(pool: &Pool, name: &str) -> String {
    sqlx::query_scalar("select value from setting where name = $1").bind(name).fetch_one(pool).await.unwrap()
}

fn code<T>(result: server::Result<T>) -> Code {
    result.err().unwrap().into_problem().code
}

#[sqlx::test(migrations = "../migrations")]
async fn secrets_open_all_the_while_and_the_old_key_goes_when_nothing_is_under_it(pool: Pool) {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::at(&pool, folder.path()).await);
    // More than one transaction seals anew.
    for number in 0..120 {
        server.add(&format!("Provider {number}")).await.unwrap();
    }
    let first = noted(&pool, "master_key_id").await;
    let check = noted(&pool, "master_key_check").await;
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let reader = {
        let (server, stop, rounds) = (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&rounds));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                assert!(server.opens().await.unwrap() >= 120);
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let (second, before) = master_key::rotate(&server.config.data).unwrap();
    assert_eq!(before, first);
    assert_eq!(sealed(&pool).await, [(first.clone(), 120)]);
    assert_eq!(code(server.may_remove_older().await), Code::Conflict, "the server has not looked yet");

    assert!(server.keys.look(&pool).await.unwrap());
    assert_eq!(noted(&pool, "master_key_id").await, second);
    assert_ne!(noted(&pool, "master_key_check").await, check, "the check follows");
    assert_eq!(code(server.may_remove_older().await), Code::Conflict, "nothing is sealed anew yet");
    server.add("New").await.unwrap();
    assert_eq!(sealed(&pool).await, [(second.clone(), 1), (first.clone(), 120)]);
    assert_eq!(server.doctor().await, (format!("{second}; 120 secrets and 0 runtimes are still under older ones, and follow"), None));

    assert_eq!(reseal::run(&server.service).await.unwrap(), reseal::Resealed { anew: 120, closed: vec![] });
    assert_eq!(reseal::run(&server.service).await.unwrap(), reseal::Resealed::default(), "once is enough");
    assert_eq!(sealed(&pool).await, [(second.clone(), 121)]);
    server.may_remove_older().await.unwrap();
    let (told, problem) = server.doctor().await;
    assert!(told.contains("may be removed") && problem.is_none(), "{told} {problem:?}");

    master_key::remove_older(&server.config.data, &second).unwrap();
    assert!(!server.keys.look(&pool).await.unwrap());
    assert_eq!(server.keys.all().len(), 1, "it is not in the server's memory either");
    assert_eq!(server.opens().await.unwrap(), 121);
    let seen = rounds.load(Ordering::Relaxed);
    while rounds.load(Ordering::Relaxed) < seen + 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::Relaxed);
    reader.await.unwrap();
    let audit: Vec<(String, String)> =
        sqlx::query_as("select actor, subject from audit_entry where action = 'master_key.rotated'").fetch_all(&pool).await.unwrap();
    assert_eq!(audit, [("ClawLoops".to_owned(), second)]);
}

/// Each server is killed, and the next one comes up with what is on the disk and in the database.
#[sqlx::test(migrations = "../migrations")]
async fn killed_between_any_two_steps_no_secret_is_lost(pool: Pool) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::at(&pool, folder.path()).await;
    for name in ["A", "B", "C"] {
        server.add(name).await.unwrap();
    }
    let first = noted(&pool, "master_key_id").await;
    server.die().await;

    // The older keys were written, and the new one is half written.
    fs::copy(folder.path().join("master.key"), folder.path().join("master.key.old")).unwrap();
    fs::write(folder.path().join("master.key.new"), "0123").unwrap();
    let server = Server::at(&pool, folder.path()).await;
    assert_eq!((server.opens().await.unwrap(), server.keys.look(&pool).await.unwrap()), (3, false));
    server.die().await;

    // The new key is on the disk, and no server looked.
    let (second, _) = master_key::rotate(&settings(folder.path()).data).unwrap();
    let server = Server::at(&pool, folder.path()).await;
    assert_eq!(server.opens().await.unwrap(), 3);
    assert_eq!(noted(&pool, "master_key_id").await, first, "a start changes nothing");
    // It is the present one, and nothing is sealed anew.
    server.keys.look(&pool).await.unwrap();
    assert_eq!(noted(&pool, "master_key_id").await, second);
    server.die().await;
    let server = Server::at(&pool, folder.path()).await;
    assert_eq!(server.opens().await.unwrap(), 3);

    // One is sealed anew, and the next is cut off before its transaction ends.
    let vault = Vault::new(Arc::clone(&server.keys));
    let rows = data::provider::all(&mut pool.acquire().await.unwrap()).await.unwrap();
    let anew = |row: &data::provider::Row| {
        vault.seal_anew(row.provider_id, row.secret_key_id.as_deref().unwrap(), row.secret_sealed.as_deref().unwrap()).unwrap().unwrap()
    };
    let mut ours = rows.iter().filter(|row| row.secret_sealed.is_some());
    let (done, cut) = (ours.next().unwrap(), ours.next().unwrap());
    let (key_id, seal) = anew(done);
    data::provider::seal_anew(&mut pool.acquire().await.unwrap(), done.provider_id, &seal, &key_id).await.unwrap();
    let mut transaction = data::begin(&pool).await.unwrap();
    let (key_id, seal) = anew(cut);
    data::provider::seal_anew(&mut transaction, cut.provider_id, &seal, &key_id).await.unwrap();
    drop(transaction);
    server.die().await;
    assert_eq!(sealed(&pool).await, [(second.clone(), 1), (first, 2)]);
    let server = Server::at(&pool, folder.path()).await;
    assert_eq!(server.opens().await.unwrap(), 3);
    assert_eq!(reseal::run(&server.service).await.unwrap().anew, 2);
    server.die().await;

    // All is sealed anew, and the older key is still there; then it is gone.
    let server = Server::at(&pool, folder.path()).await;
    assert_eq!(server.opens().await.unwrap(), 3);
    server.may_remove_older().await.unwrap();
    master_key::remove_older(&server.config.data, &second).unwrap();
    server.die().await;
    assert_eq!(Server::at(&pool, folder.path()).await.opens().await.unwrap(), 3);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_is_used_when_every_server_has_it(pool: Pool) {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = Server::at(&pool, one.path()).await;
    fs::copy(one.path().join("master.key"), two.path().join("master.key")).unwrap();
    let b = Server::at(&pool, two.path()).await;
    a.add("A").await.unwrap();
    let first = noted(&pool, "master_key_id").await;

    let (second, _) = master_key::rotate(&a.config.data).unwrap();
    assert!(a.keys.look(&pool).await.unwrap(), "a key came");
    assert!(!b.keys.look(&pool).await.unwrap());
    a.keys.look(&pool).await.unwrap();
    assert_eq!(noted(&pool, "master_key_id").await, first, "the other server does not have it");
    a.add("B").await.unwrap();
    assert_eq!(b.opens().await.unwrap(), 2);
    let (_, problem) = a.doctor().await;
    assert_eq!(problem.unwrap(), format!("{second} is not taken up yet: 1 of 2 servers do not have it as their newest master key."));
    assert_eq!(code(a.may_remove_older().await), Code::Conflict);

    // The files come in the order that docs/OPERATING.md says, and each look between them is good.
    for name in ["master.key.old", "master.key"] {
        fs::copy(one.path().join(name), two.path().join(name)).unwrap();
        b.keys.look(&pool).await.unwrap();
        assert_eq!((a.opens().await.unwrap(), b.opens().await.unwrap()), (2, 2));
    }
    assert_eq!(noted(&pool, "master_key_id").await, second);
    // The one that did not make it so has not looked yet: it opens, and does not seal with the key before.
    assert_eq!(code(a.add("Too soon").await), Code::Conflict);
    assert!(a.keys.look(&pool).await.unwrap());
    a.add("C").await.unwrap();
    let (by_a, by_b) = tokio::join!(reseal::run(&a.service), reseal::run(&b.service));
    assert_eq!(by_a.unwrap().anew + by_b.unwrap().anew, 2, "each secret by one of them");
    assert_eq!(sealed(&pool).await, [(second, 3)]);
    assert_eq!((a.opens().await.unwrap(), b.opens().await.unwrap()), (3, 3));
}

/// It stood still, was not waited for, and goes on.
#[sqlx::test(migrations = "../migrations")]
async fn a_server_that_missed_a_rotation_says_so_and_recovers(pool: Pool) {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = Server::at(&pool, one.path()).await;
    fs::copy(one.path().join("master.key"), two.path().join("master.key")).unwrap();
    let b = Server::at(&pool, two.path()).await;
    a.add("A").await.unwrap();
    sqlx::query("update server set seen_at = now() - interval '1 minute'").execute(&pool).await.unwrap();
    let (second, _) = master_key::rotate(&a.config.data).unwrap();
    a.keys.look(&pool).await.unwrap();
    assert_eq!(noted(&pool, "master_key_id").await, second);
    assert_eq!(reseal::run(&a.service).await.unwrap().anew, 1);

    let problem = b.opens().await.unwrap_err().into_problem();
    assert!(problem.message.contains(&second) && problem.remedy.is_some(), "{problem:?}");
    assert_eq!(code(b.add("B").await), Code::Conflict, "it does not know yet, and the database does");
    assert!(b.keys.look(&pool).await.unwrap());
    assert_eq!(code(b.add("B").await), Code::Unavailable, "and seals with no key but that");
    assert!(reseal::run(&b.service).await.is_err());
    assert_eq!(noted(&pool, "master_key_id").await, second, "it does not turn anything back");
    assert!(Server::start(&pool, settings(two.path())).await.is_err(), "nor does it start so");

    for name in ["master.key.old", "master.key"] {
        fs::copy(one.path().join(name), two.path().join(name)).unwrap();
    }
    assert!(b.keys.look(&pool).await.unwrap());
    b.add("B").await.unwrap();
    assert_eq!((a.opens().await.unwrap(), b.opens().await.unwrap()), (2, 2));
}

#[sqlx::test(migrations = "../migrations")]
async fn an_older_key_that_went_too_early_is_named_and_nothing_is_dropped(pool: Pool) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::at(&pool, folder.path()).await;
    server.add("A").await.unwrap();
    let (second, first) = master_key::rotate(&server.config.data).unwrap();
    server.keys.look(&pool).await.unwrap();
    let old = folder.path().join("master.key.old");
    let kept = fs::read(&old).unwrap();
    fs::remove_file(&old).unwrap();
    let lost = format!("1 secrets are sealed under a master key that is not here: {first}.");
    assert_eq!(server.doctor().await.1, Some(lost.clone()));

    // What runs still has it, and saves what is under it.
    server.keys.look(&pool).await.unwrap();
    assert_eq!(server.opens().await.unwrap(), 1);
    // What starts now does not, says so, and leaves it alone.
    let late = Server::at(&pool, folder.path()).await;
    let problem = late.opens().await.unwrap_err().into_problem();
    assert!(problem.message.contains(&first), "{problem:?}");
    assert_eq!(reseal::run(&late.service).await.unwrap(), reseal::Resealed { anew: 0, closed: vec!["A".to_owned()] });
    assert_eq!(sealed(&pool).await, [(first.clone(), 1)]);
    assert_eq!(late.doctor().await.1, Some(lost));
    assert_eq!(code(late.may_remove_older().await), Code::Conflict);

    fs::write(&old, kept).unwrap();
    assert!(late.keys.look(&pool).await.unwrap());
    assert_eq!(reseal::run(&late.service).await.unwrap(), reseal::Resealed { anew: 1, closed: vec![] });
    assert_eq!(sealed(&pool).await, [(second.clone(), 1)]);

    // Sealed while the key was rotated, a secret bears the wrong name: it is tried, and not believed.
    let vault = Vault::new(Keyring::of(&[[9; 32]]));
    let row = data::provider::all(&mut pool.acquire().await.unwrap()).await.unwrap().into_iter().find(|row| row.name == "A").unwrap();
    let foreign = vault.seal(row.provider_id, "sk-of-A").unwrap();
    data::provider::seal_anew(&mut pool.acquire().await.unwrap(), row.provider_id, &foreign, &second).await.unwrap();
    let problem = late.may_remove_older().await.unwrap_err().into_problem();
    assert!(problem.message.contains("do not open with the newest master key: A"), "{problem:?}");
    assert_eq!(reseal::run(&late.service).await.unwrap().closed, ["A"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn keys_of_the_environment_are_rotated_by_a_rolling_restart(pool: Pool) {
    let folder = tempfile::tempdir().unwrap();
    let with = |newest: u8, older: Option<u8>| {
        let mut config = settings(folder.path());
        config.data.master_key = Some(format!("{newest:02x}").repeat(32).into());
        config.data.master_key_old = older.map(|byte| format!("{byte:02x}").repeat(32).into());
        config
    };
    let (a, b) = (Server::start(&pool, with(1, None)).await.unwrap(), Server::start(&pool, with(1, None)).await.unwrap());
    a.add("A").await.unwrap();
    assert_eq!(code(Server::start(&pool, with(2, None)).await), Code::Conflict, "without the one before it nothing opens");
    assert_eq!(code(Server::start(&pool, with(2, Some(3))).await), Code::Conflict, "nor with a wrong one");
    let first = noted(&pool, "master_key_id").await;
    assert_eq!(sealed(&pool).await, [(first.clone(), 1)]);

    a.die().await;
    let a = Server::start(&pool, with(2, Some(1))).await.unwrap();
    a.keys.look(&pool).await.unwrap();
    assert_eq!(noted(&pool, "master_key_id").await, first, "the other one is not restarted yet");
    assert_eq!((a.opens().await.unwrap(), b.opens().await.unwrap()), (1, 1));
    b.die().await;
    // The two in the wrong order: nobody turns the key back and forth.
    let wrong = Server::start(&pool, with(1, Some(2))).await.unwrap();
    for server in [&a, &wrong, &a] {
        server.keys.look(&pool).await.unwrap();
    }
    assert_eq!(noted(&pool, "master_key_id").await, first);
    wrong.die().await;
    let b = Server::start(&pool, with(2, Some(1))).await.unwrap();
    b.keys.look(&pool).await.unwrap();
    assert_ne!(noted(&pool, "master_key_id").await, first);
    assert_eq!(reseal::run(&b.service).await.unwrap().anew, 1);
    a.may_remove_older().await.unwrap();
    assert_eq!(Server::start(&pool, with(2, None)).await.unwrap().opens().await.unwrap(), 1);
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "no key was written to the disk");
}
