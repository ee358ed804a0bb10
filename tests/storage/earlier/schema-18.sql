BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'relay','accounts','2026-11-29 16:37:39.926868+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'relay','conversations','2026-11-29 16:37:39.933522+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'relay','living','2026-11-29 16:37:39.941309+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'relay','attachments','2026-11-29 16:37:39.949432+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'relay','plugins','2026-11-29 16:37:39.957171+00:00');
INSERT INTO "_sqlite_migrations" VALUES(6,'relay','invited_admins','2026-11-29 16:37:39.959798+00:00');
INSERT INTO "_sqlite_migrations" VALUES(7,'relay','groups_chosen','2026-11-29 16:37:39.969791+00:00');
INSERT INTO "_sqlite_migrations" VALUES(8,'relay','erasures','2026-11-29 16:37:39.970535+00:00');
INSERT INTO "_sqlite_migrations" VALUES(9,'relay','stays','2026-11-29 16:37:39.972601+00:00');
INSERT INTO "_sqlite_migrations" VALUES(10,'relay','answers_depths','2026-11-29 16:37:39.982848+00:00');
INSERT INTO "_sqlite_migrations" VALUES(11,'relay','folded_names','2026-11-29 16:37:39.986503+00:00');
INSERT INTO "_sqlite_migrations" VALUES(12,'relay','login_places','2026-11-29 16:37:39.997158+00:00');
INSERT INTO "_sqlite_migrations" VALUES(13,'relay','names_regardless_of_case','2026-11-29 16:37:40.001261+00:00');
INSERT INTO "_sqlite_migrations" VALUES(14,'relay','who_spoke','2026-11-29 16:37:40.005416+00:00');
INSERT INTO "_sqlite_migrations" VALUES(15,'relay','scheduled_jobs','2026-11-29 16:37:40.009188+00:00');
INSERT INTO "_sqlite_migrations" VALUES(16,'relay','pictures','2026-11-29 16:37:40.013779+00:00');
INSERT INTO "_sqlite_migrations" VALUES(17,'relay','pictures_sizes','2026-11-29 16:37:40.017352+00:00');
INSERT INTO "_sqlite_migrations" VALUES(18,'relay','files_of_conversations','2026-11-29 16:37:40.021249+00:00');
CREATE TABLE attachments (
            attachment_id TEXT PRIMARY KEY, blob_id INTEGER NOT NULL, user_id TEXT NOT NULL, name TEXT NOT NULL,
            type TEXT NOT NULL, size INTEGER NOT NULL, created_at REAL NOT NULL, held INTEGER NOT NULL DEFAULT 0
        , width INTEGER, height INTEGER) WITHOUT ROWID;
CREATE TABLE blobs (
            blob_id INTEGER PRIMARY KEY, sha256 BLOB UNIQUE, size INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL
        );
CREATE TABLE channels (
            channel_id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
            floor_seq INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL
        );
INSERT INTO "channels" VALUES(1,'*','broadcast',0,1795970259.0);
INSERT INTO "channels" VALUES(90,'user:alice:bob','user',0,1700000000.0);
CREATE TABLE chunks (chunk_id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE devices (
            user_id TEXT NOT NULL, client_id TEXT NOT NULL, session_id TEXT NOT NULL UNIQUE,
            token_id TEXT, acked INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL,
            seen_at REAL NOT NULL, revoked_at REAL, agent TEXT NOT NULL DEFAULT '', PRIMARY KEY (user_id, client_id)
        ) WITHOUT ROWID;
CREATE TABLE erasures (
            user_id TEXT PRIMARY KEY, asked_at REAL NOT NULL, reached INTEGER NOT NULL DEFAULT 0,
            erased INTEGER NOT NULL DEFAULT 0, kept INTEGER NOT NULL DEFAULT 0,
            files_kept INTEGER NOT NULL DEFAULT 0, done_at REAL
        ) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
INSERT INTO "facts" VALUES('created_at',1.79597025992681884765e+09);
INSERT INTO "facts" VALUES('epoch','aa8f048b3b4d2678');
INSERT INTO "facts" VALUES('high_water',1000);
CREATE TABLE following (
            user_id TEXT NOT NULL, followed_id TEXT NOT NULL, since REAL NOT NULL,
            PRIMARY KEY (user_id, followed_id)
        ) WITHOUT ROWID;
CREATE TABLE groups (
            group_id TEXT PRIMARY KEY, channel_id INTEGER NOT NULL UNIQUE, name TEXT NOT NULL,
            history TEXT NOT NULL, created_at REAL NOT NULL, deleted_at REAL
        , made_by TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE holds (
            attachment_id TEXT NOT NULL, message_id INTEGER NOT NULL, channel_id INTEGER, PRIMARY KEY (attachment_id, message_id)
        ) WITHOUT ROWID;
CREATE TABLE invites (
            code_hash BLOB PRIMARY KEY, created_by TEXT, created_at REAL NOT NULL,
            expires_at REAL, uses_left INTEGER NOT NULL
        , role TEXT NOT NULL DEFAULT 'user') WITHOUT ROWID;
CREATE TABLE latest (
            message_id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, type TEXT NOT NULL,
            sender_id TEXT NOT NULL, key TEXT NOT NULL, target_id TEXT NOT NULL, client_id TEXT,
            own_id TEXT, digest BLOB, payload TEXT NOT NULL, timestamp REAL NOT NULL, sent_at REAL,
            only_for TEXT, about INTEGER,
            UNIQUE (channel_id, type, sender_id, key)
        );
CREATE TABLE log (
            message_id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, seq INTEGER NOT NULL,
            type TEXT NOT NULL, sender_id TEXT NOT NULL, target_id TEXT NOT NULL, client_id TEXT,
            own_id TEXT, digest BLOB, payload TEXT, timestamp REAL NOT NULL, sent_at REAL,
            edited_at REAL, deleted_at REAL
        , expires_at REAL, replaces INTEGER, edit_id INTEGER, depth INTEGER);
INSERT INTO "log" VALUES(900,90,1,'chat_message','alice','bob',NULL,'first',NULL,'{"content": "kept since then"}',1700000000.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE login_places (
            user_id TEXT NOT NULL, place BLOB NOT NULL, seen_at REAL NOT NULL, PRIMARY KEY (user_id, place)
        ) WITHOUT ROWID;
CREATE TABLE members (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL,
            visible_from INTEGER NOT NULL DEFAULT 1, visible_until INTEGER,
            joined_at REAL NOT NULL, seen_before INTEGER, PRIMARY KEY (channel_id, user_id)
        ) WITHOUT ROWID;
INSERT INTO "members" VALUES(90,'alice','member',1,NULL,1700000000.0,NULL);
INSERT INTO "members" VALUES(90,'bob','member',1,NULL,1700000000.0,NULL);
CREATE TABLE mentions (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, seq INTEGER NOT NULL,
            PRIMARY KEY (channel_id, user_id, seq)
        ) WITHOUT ROWID;
CREATE TABLE names (name TEXT PRIMARY KEY, kind TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "names" VALUES('alice','user');
INSERT INTO "names" VALUES('bob','user');
CREATE TABLE newest (
            channel_id INTEGER NOT NULL, type TEXT NOT NULL, sender_id TEXT NOT NULL, key TEXT NOT NULL,
            message_id INTEGER NOT NULL, about INTEGER, PRIMARY KEY (channel_id, type, sender_id, key)
        ) WITHOUT ROWID;
CREATE TABLE pictures (name TEXT PRIMARY KEY, attachment_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE plugin_migrations (
            plugin TEXT NOT NULL, name TEXT NOT NULL, applied_at REAL NOT NULL, PRIMARY KEY (plugin, name)
        ) WITHOUT ROWID;
CREATE TABLE pointers (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, read_seq INTEGER NOT NULL DEFAULT 0,
            shown_seq INTEGER NOT NULL DEFAULT 0, spoke INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (channel_id, user_id)
        ) WITHOUT ROWID;
CREATE TABLE presence (
            user_id TEXT PRIMARY KEY, status TEXT, text TEXT, until REAL, last_seen REAL,
            present INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
CREATE TABLE scheduled_jobs (
            plugin TEXT NOT NULL, schedule TEXT NOT NULL, key TEXT NOT NULL, rule TEXT NOT NULL DEFAULT '',
            due_at REAL NOT NULL, try_at REAL NOT NULL, run_id TEXT NOT NULL, data TEXT NOT NULL DEFAULT '{}',
            attempts INTEGER NOT NULL DEFAULT 0, began_at REAL, last_at REAL, last_error TEXT,
            PRIMARY KEY (plugin, schedule, key)
        ) WITHOUT ROWID;
CREATE TABLE stays (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, visible_from INTEGER NOT NULL,
            visible_until INTEGER NOT NULL, PRIMARY KEY (channel_id, user_id, visible_from)
        ) WITHOUT ROWID;
CREATE TABLE tokens (
            token_hash BLOB PRIMARY KEY, token_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL,
            origin TEXT NOT NULL, label TEXT NOT NULL, scopes TEXT NOT NULL, client_id TEXT,
            created_at REAL NOT NULL, expires_at REAL
        ) WITHOUT ROWID;
CREATE TABLE users (
            user_id TEXT PRIMARY KEY, display_name TEXT NOT NULL, admin INTEGER NOT NULL DEFAULT 0,
            disabled INTEGER NOT NULL DEFAULT 0, password_hash TEXT, created_at REAL NOT NULL,
            delivered INTEGER NOT NULL DEFAULT 0
        , receipts INTEGER NOT NULL DEFAULT 1, presence_to TEXT NOT NULL DEFAULT 'everyone', groups_from TEXT NOT NULL DEFAULT 'everyone', sought TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
INSERT INTO "users" VALUES('alice','Alice',1,0,NULL,1700000000.0,0,1,'everyone','everyone','');
INSERT INTO "users" VALUES('bob','Bob',0,0,NULL,1700000000.0,0,1,'everyone','everyone','');
CREATE TABLE versions (
            message_id INTEGER NOT NULL, until_seq INTEGER NOT NULL, channel_id INTEGER NOT NULL,
            payload TEXT NOT NULL, edited_at REAL, edit_id INTEGER, PRIMARY KEY (message_id, until_seq)
        ) WITHOUT ROWID;
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX tokens_by_user ON tokens(user_id);
CREATE INDEX followers ON following(followed_id);
CREATE INDEX members_by_user ON members(user_id);
CREATE UNIQUE INDEX log_by_seq ON log(channel_id, seq);
CREATE UNIQUE INDEX log_by_own_id ON log(sender_id, own_id) WHERE own_id IS NOT NULL;
CREATE UNIQUE INDEX latest_by_own_id ON latest(sender_id, own_id) WHERE own_id IS NOT NULL;
CREATE INDEX log_by_expiry ON log(expires_at) WHERE expires_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX latest_by_about ON latest(about) WHERE about IS NOT NULL;
CREATE INDEX newest_by_about ON newest(about) WHERE about IS NOT NULL;
CREATE INDEX attachments_by_blob ON attachments(blob_id);
CREATE INDEX attachments_by_user ON attachments(user_id);
CREATE INDEX holds_by_message ON holds(message_id);
CREATE INDEX groups_by_maker ON groups(made_by);
CREATE INDEX versions_by_channel ON versions(channel_id);
CREATE INDEX names_by_letters ON names(name COLLATE NOCASE);
CREATE INDEX scheduled_jobs_by_time ON scheduled_jobs(plugin, try_at);
CREATE INDEX pictures_by_file ON pictures(attachment_id);
CREATE INDEX attachments_unmeasured ON attachments(attachment_id) WHERE width IS NULL;
CREATE INDEX holds_by_channel ON holds(channel_id, message_id);
COMMIT;
