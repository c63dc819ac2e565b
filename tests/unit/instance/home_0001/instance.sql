BEGIN TRANSACTION;
CREATE TABLE keystead_audit (
	sequence INTEGER NOT NULL, 
	sys_id TEXT NOT NULL, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	action TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "keystead_audit" VALUES(1,'01a2020d04397001849895e995c6ace4','2026-11-22T06:58:57.209813Z','test','instance.init','01a2020d03b47001ba4caebb23e8aaa2','{"name": "prod"}');
INSERT INTO "keystead_audit" VALUES(2,'01a2020d04487000be7848bb3c2a2cdf','2026-11-22T06:58:57.224780Z','test','module.create','global.standard','{"algorithm": "AES-GCM"}');
INSERT INTO "keystead_audit" VALUES(3,'01a2020d044f70008faddb2b3d580613','2026-11-22T06:58:57.231239Z','test','module.publish','global.standard','{}');
INSERT INTO "keystead_audit" VALUES(4,'01a2020d045b70009f9bf4b852a366c7','2026-11-22T06:58:57.243086Z','test','key.generate','6f0acf4ecc707a4f36b29700458ef87e','{"module": "global.standard", "version": 1}');
INSERT INTO "keystead_audit" VALUES(5,'01a2020d046370009f121cac92a6eee1','2026-11-22T06:58:57.251666Z','test','policy.create','01a2020d045f7000a7fded42eed9cfa5','{"module": "standard", "role": "readers"}');
INSERT INTO "keystead_audit" VALUES(6,'01a2020d0468700084e7fc06c6902f47','2026-11-22T06:58:57.256853Z','test','policy.create','01a2020d04677000b8aacf586727bacd','{"module": "standard", "role": "all"}');
INSERT INTO "keystead_audit" VALUES(7,'01a2020d046c70008567cabf876397cc','2026-11-22T06:58:57.260470Z','test','policy.create','01a2020d046a70008fa1cda88ad8c566','{"module": "standard", "role": "writers"}');
INSERT INTO "keystead_audit" VALUES(8,'01a2020d046f70009d6bebf0519845d5','2026-11-22T06:58:57.263594Z','test','module.create','global.equal','{"algorithm": "AES-SIV"}');
INSERT INTO "keystead_audit" VALUES(9,'01a2020d04727000b558060099b39c4c','2026-11-22T06:58:57.266221Z','test','module.publish','global.equal','{}');
INSERT INTO "keystead_audit" VALUES(10,'01a2020d047770008bdc07682c269c70','2026-11-22T06:58:57.271248Z','test','key.generate','ac3fde421c0848730ba7164510447705','{"module": "global.equal", "version": 1}');
INSERT INTO "keystead_audit" VALUES(11,'01a2020d047a7000b160406762d65882','2026-11-22T06:58:57.274153Z','test','policy.create','01a2020d04787000ad649464d076772c','{"module": "equal", "role": "readers"}');
INSERT INTO "keystead_audit" VALUES(12,'01a2020d047d7000adacb12b428ab2be','2026-11-22T06:58:57.277540Z','test','policy.create','01a2020d047b7000b641d9b3e4fd3b34','{"module": "equal", "role": "all"}');
INSERT INTO "keystead_audit" VALUES(13,'01a2020d0480700097347c9b8581aebf','2026-11-22T06:58:57.281015Z','test','policy.create','01a2020d047f7000ad127e8128ed64d5','{"module": "equal", "role": "writers"}');
INSERT INTO "keystead_audit" VALUES(14,'01a2020d048670009143446fcbcfadaa','2026-11-22T06:58:57.286422Z','test','user.create','reader','{"roles": "readers"}');
INSERT INTO "keystead_audit" VALUES(15,'01a2020d048a7000980acbad11c092e2','2026-11-22T06:58:57.290456Z','test','user.create','both','{"roles": "all"}');
INSERT INTO "keystead_audit" VALUES(16,'01a2020d048d70009b2addc8342cb411','2026-11-22T06:58:57.293040Z','test','user.create','writer','{"roles": "writers"}');
INSERT INTO "keystead_audit" VALUES(17,'01a2020d048f7001ba4273dacb5818de','2026-11-22T06:58:57.295739Z','test','user.create','guest','{"roles": "guests"}');
INSERT INTO "keystead_audit" VALUES(18,'01a2020d049970009a92cd956002bddc','2026-11-22T06:58:57.305167Z','test','table.load','people','{"rows": 12}');
INSERT INTO "keystead_audit" VALUES(19,'01a2020d04ad70009466de7560f603d7','2026-11-22T06:58:57.325547Z','test','field.configure','people.name','{"module": "global.standard"}');
INSERT INTO "keystead_audit" VALUES(20,'01a2020d04b870008459d6702ec5d9a5','2026-11-22T06:58:57.336221Z','test','field.configure','people.city','{"module": "global.standard"}');
INSERT INTO "keystead_audit" VALUES(21,'01a2020d04cd7000a9c39f4384f68c1a','2026-11-22T06:58:57.357064Z','test','field.configure','people.salary','{"module": "global.standard"}');
INSERT INTO "keystead_audit" VALUES(22,'01a2020d04d570009de8eaaf61925670','2026-11-22T06:58:57.365294Z','test','field.configure','people.email','{"module": "global.equal"}');
INSERT INTO "keystead_audit" VALUES(23,'01a2020d04dd700082d9c4c1b73dee06','2026-11-22T06:58:57.373356Z','test','field.configure','people.team','{"module": "global.equal"}');
INSERT INTO "keystead_audit" VALUES(24,'01a2020d05017000afd6330b07934cd2','2026-11-22T06:58:57.409777Z','test','job.create','01a2020d04ff7000a29874f5a4529a25','{"kind": "mass encryption", "of": "people"}');
INSERT INTO "keystead_audit" VALUES(25,'01a2020d0543700087605e41e6ba1322','2026-11-22T06:58:57.476009Z','test','field.seal','people.name','{}');
INSERT INTO "keystead_audit" VALUES(26,'01a2020d0546700097aae3b1174fc7a1','2026-11-22T06:58:57.478632Z','test','field.seal','people.city','{}');
INSERT INTO "keystead_audit" VALUES(27,'01a2020d05497000a49669d3c76c541a','2026-11-22T06:58:57.481100Z','test','field.seal','people.salary','{}');
INSERT INTO "keystead_audit" VALUES(28,'01a2020d054b7000862293ebccb1bf62','2026-11-22T06:58:57.483519Z','test','field.seal','people.email','{}');
INSERT INTO "keystead_audit" VALUES(29,'01a2020d054d7000826c87f6945ab7c2','2026-11-22T06:58:57.485935Z','test','field.seal','people.team','{}');
INSERT INTO "keystead_audit" VALUES(30,'01a2020d055c7000941bae9d0eedfc63','2026-11-22T06:58:57.500778Z','test','job.finish','01a2020d04ff7000a29874f5a4529a25','{"kind": "mass encryption"}');
INSERT INTO "keystead_audit" VALUES(31,'01a2020d0579700082ca2d945f450de3','2026-11-22T06:58:57.529829Z','test','key.rotate','a4f6e0358d9321ce1e4bee56e14bedfa','{"module": "global.standard", "replaces": "6f0acf4ecc707a4f36b29700458ef87e", "version": 2}');
INSERT INTO "keystead_audit" VALUES(32,'01a2020d058370009f7ce4ee2a5df7d2','2026-11-22T06:58:57.539747Z','test','key.rotate','cac818c1aa2a71b656463185a5885ea5','{"module": "global.equal", "replaces": "ac3fde421c0848730ba7164510447705", "version": 2}');
CREATE TABLE keystead_clone (
	sys_id VARCHAR(32) NOT NULL, 
	side TEXT NOT NULL, 
	peer_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	"plan" TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	next_sequence INTEGER NOT NULL, 
	inventory TEXT, 
	job_id TEXT, 
	created_at TEXT NOT NULL, 
	committed_at TEXT, 
	revision INTEGER NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sys_id)
);
CREATE TABLE keystead_column_key (
	sys_id VARCHAR(32) NOT NULL, 
	configuration_id TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sys_id), 
	UNIQUE (configuration_id, key_id)
);
INSERT INTO "keystead_column_key" VALUES('01a2020d04f77000bf8b0805b29ee955','01a2020d04aa70009bec8da6c303659f','6f0acf4ecc707a4f36b29700458ef87e',1,'9b9099c5bd028011137d38b11e936c135b75db44d3bea119dedefd461b502ddb');
INSERT INTO "keystead_column_key" VALUES('01a2020d04f9700099ed29f297f33c05','01a2020d04b67000b36a87a1482b7535','6f0acf4ecc707a4f36b29700458ef87e',1,'99f9e5dce53b86758255a550f9895bd3bad9f045b4e77e0977d12d3201805e5f');
INSERT INTO "keystead_column_key" VALUES('01a2020d04fb7000a782bf0c67d0e3f2','01a2020d04cb70009bd497af44896c65','6f0acf4ecc707a4f36b29700458ef87e',1,'fb07442f480154b7bcd6497d371764443bdc86431245d69493ab661fcc75a8d2');
INSERT INTO "keystead_column_key" VALUES('01a2020d04fd70009a1207b0635cab9e','01a2020d04d4700095086659c05588b7','ac3fde421c0848730ba7164510447705',1,'f10d472831edfd399d72ca86bc9040298842bc9630aebcdef2235288b1908318');
INSERT INTO "keystead_column_key" VALUES('01a2020d04fe700098c5f52a52b118f5','01a2020d04dc7000a626a940ecef3e88','ac3fde421c0848730ba7164510447705',1,'31a9c30816a03293defea25aa60e9b18a568c20bbc90f806308fc7bd1557d399');
CREATE TABLE keystead_exchange_request (
	sys_id VARCHAR(32) NOT NULL, 
	side TEXT NOT NULL, 
	peer_id TEXT NOT NULL, 
	frequency TEXT NOT NULL, 
	status TEXT NOT NULL, 
	document TEXT NOT NULL, 
	request_hash TEXT NOT NULL, 
	clone_id TEXT, 
	total_key_count INTEGER NOT NULL, 
	moved_key_count INTEGER NOT NULL, 
	rekey INTEGER NOT NULL, 
	bundle TEXT, 
	receipt TEXT, 
	created_at TEXT NOT NULL, 
	updated_at TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sys_id)
);
CREATE TABLE keystead_instance_key (
	sys_id VARCHAR(32) NOT NULL, 
	purpose TEXT NOT NULL, 
	material TEXT NOT NULL, 
	PRIMARY KEY (sys_id), 
	UNIQUE (purpose)
);
INSERT INTO "keystead_instance_key" VALUES('01a2020d0437700094a3b010c41da5b9','kek','Acdrtl9JHz4CkCurGQ6QwrED8GBAtr5rVKdg/sLyUs9inS3VKyb0bd3KfmCdNKp4jvE/Td7GA7h8bbZ84w==');
INSERT INTO "keystead_instance_key" VALUES('01a2020d043870008330cf4ff0b32b88','signing','AYgnort6JNmmaDnAwsO2sQQEh87EPvzypnPWhpaLvPROrJoW8kFKOWWw7+I2P9LNwoJE4YbvMS+QTFaFfeeavsUmAxOJUaBbk0c5StLnziFqQ0rW+3JmeE5KuNvY');
INSERT INTO "keystead_instance_key" VALUES('01a2020d0439700091511c979783bec1','sealing','AQVLLNhKsw3lEjri0avD1Sa9Ya2HW7jAA4w5ZPkeaePtavDd8bC65f3H8jUgzsuSj+7rbMpSLER4nxlsS927H/wG58JzVRcQd1tpDbmJVRCys+wNXVhyUFTBRkusfmGfuKt84zmKi6sBYXpZwwFVggS2Ud1bQ4lUAAmV0yE=');
CREATE TABLE keystead_job (
	sys_id VARCHAR(32) NOT NULL, 
	kind TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	arguments TEXT NOT NULL, 
	state TEXT NOT NULL, 
	phase TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	done INTEGER NOT NULL, 
	total INTEGER NOT NULL, 
	cursor TEXT NOT NULL, 
	counts TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	started_at TEXT, 
	finished_at TEXT, 
	error_family TEXT, 
	error_code TEXT, 
	error_what TEXT, 
	error_todo TEXT, 
	PRIMARY KEY (sys_id)
);
INSERT INTO "keystead_job" VALUES('01a2020d04ff7000a29874f5a4529a25','mass encryption','people','{"keys": {"01a2020d04aa70009bec8da6c303659f": "6f0acf4ecc707a4f36b29700458ef87e", "01a2020d04b67000b36a87a1482b7535": "6f0acf4ecc707a4f36b29700458ef87e", "01a2020d04cb70009bd497af44896c65": "6f0acf4ecc707a4f36b29700458ef87e", "01a2020d04d4700095086659c05588b7": "ac3fde421c0848730ba7164510447705", "01a2020d04dc7000a626a940ecef3e88": "ac3fde421c0848730ba7164510447705"}, "rows_per_second": null}','done','done',1,2,12,12,'["p12"]','{"values": 51, "lost_races": 0, "passes": 1, "scrub_done": ["replaced values were overwritten as they were replaced (secure_delete)", "the file was rebuilt without free pages (VACUUM)", "the write-ahead log was emptied (checkpoint TRUNCATE)"], "scrub_may_remain": ["blocks that the file system freed (the old log and the old file)", "backups and snapshots made before this moment", "the file the rows were loaded from"]}','test','2026-11-22T06:58:57.407563Z','2026-11-22T06:58:57.413941Z','2026-11-22T06:58:57.499386Z',NULL,NULL,NULL,NULL);
CREATE TABLE keystead_peer (
	sys_id VARCHAR(32) NOT NULL, 
	name TEXT NOT NULL, 
	url TEXT NOT NULL, 
	identity TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sys_id), 
	UNIQUE (name)
);
CREATE TABLE keystead_seen_message (
	sys_id VARCHAR(32) NOT NULL, 
	expires TEXT NOT NULL, 
	PRIMARY KEY (sys_id)
);
CREATE TABLE "people" ("id" TEXT NOT NULL, "name" TEXT, "city" TEXT, "salary" TEXT, "email" TEXT, "team" TEXT, "note" TEXT, PRIMARY KEY ("id"));
INSERT INTO "people" VALUES('p01','~ks1s.bwrPTsxwek82spcARY74fg.STUQUP8NOpGvaiAldQ8UbD1-aemjyMxDehGw5h_5EU-WrhV3Kkn_QPyYrA~','~ks1s.bwrPTsxwek82spcARY74fg.F2xt0lugtmmXsxfcb1vTKf6KGqHcm_Om5D3drQMFLYSFIg~','~ks1s.bwrPTsxwek82spcARY74fg.nhW3yYKzRPm2nGMCO8r8eh73L-1vSaeRP5aCiBQNFbdh2LM~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.iwBhFj6axTvM2l9srLrd6p2EUCDjOAbj-2pU9--aF48~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.QengcsD7Sl8F-BsjQqamXXAm-dDn~','one');
INSERT INTO "people" VALUES('p02','~ks1s.bwrPTsxwek82spcARY74fg.DGg9KM5DtXZSYoRAVFBuKll7f0_pS26sFHIcQDovak9PqgWXmKEx-BZMTg~','~ks1s.bwrPTsxwek82spcARY74fg.3JCtkVbFAiJHEYZQugghCtimyoY_pS_3fcDLiKxmuMrP0g~','~ks1s.bwrPTsxwek82spcARY74fg.psJuuCIATFkSNzyEPmm4r_h2OWkyzS1uUPSml6YhTKA5eCU~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.T0akKyumGHhRMgsmtOVyFh7Z6SJY_wpRgu341jC07kg~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.B_3NgiUrY44iSacwEHedIcfuAw88~','two');
INSERT INTO "people" VALUES('p03','~ks1s.bwrPTsxwek82spcARY74fg.KaF2YcCCPcMlZ-5VovS68AAPoVXfwioGq82aDfZmAM_qa2pbBRkEKA~','~ks1s.bwrPTsxwek82spcARY74fg.7kwMj1Qsoc1uLwe6ib4l8kteNdhdrwTTB5bKFe3dponm~','~ks1s.bwrPTsxwek82spcARY74fg.Kfjt1_0DiIRVW4bzyXTwxngjhCJCESXRFzhW9EYjhgdNnCE~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.XCDGM6yNPQ-UuBQgkiOnmg3ut_kNaWYUI6rIf4HRMg~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.bZdN3dvVQcyDoSCFsFmwhyyJGYiAdQ~','three');
INSERT INTO "people" VALUES('p04','~ks1s.bwrPTsxwek82spcARY74fg.aH4RZQmv9xiJ2CuHenACbgfwFGKdbOm3FdRTRTcOWvuQarqnbbud9Q~','~ks1s.bwrPTsxwek82spcARY74fg.WzLIGeQdcYqkuic-ghM_jsAgMSCuugCvInxohw_r8Ya_BA~','~ks1s.bwrPTsxwek82spcARY74fg.BosutgyqfFZNXw-KrexlP6bP1q1UGezsvcr7dLw~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.5eBndrwuVPDn6vKWmZFIDcwKR-y6F8euR_qG7zOdnxk~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.rar2r6LxvUqKnRoAAhu0IhctZA~','four');
INSERT INTO "people" VALUES('p05','~ks1s.bwrPTsxwek82spcARY74fg.MgiFNNfShF7EUV0tCJyruCO4PttpEhAM9oBxtx9likmhDMxKoS4l3FQEvMLECw~','~ks1s.bwrPTsxwek82spcARY74fg.5fTir-T9Aabke54eF3GgGaWSxNfDcK9INeis3ihKEWIURoYh~','~ks1s.bwrPTsxwek82spcARY74fg.KYu637ny1WXR6pmv16r6RS_RIqRFuv-QuBaGVOR_xaKqpd_k~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.F5Itg3NWqUQpi44TFUEVjsm-tuDjgzbrWI9zFXk8NA~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.rar2r6LxvUqKnRoAAhu0IhctZA~','five');
INSERT INTO "people" VALUES('p06','',NULL,'~ks1s.bwrPTsxwek82spcARY74fg.bgvjKJRwlheYHe-hX47-tKqMPs2dSmzsOHauzJcS-fGodJFkaGR3zRQM15Esn2U~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.iwBhFj6axTvM2l9srLrd6p2EUCDjOAbj-2pU9--aF48~','','six');
INSERT INTO "people" VALUES('p07',NULL,'',NULL,'~ks1e.rD_eQhwISHMLpxZFEER3BQ.iwBhFj6axTvM2l9srLrd6p2EUCDjOAbj-2pU9--aF48~',NULL,'seven');
INSERT INTO "people" VALUES('p08','~ks1s.bwrPTsxwek82spcARY74fg.g8Ulpcy7gWrfRw7il9yD-eicq3_s0Fw-hzCWnqwQ9CG-IXd7mpgOtR1sGe_ckPI~','~ks1s.bwrPTsxwek82spcARY74fg.R1cQNcbp_RoXFj__NpEj8ySKpYOwFA6MV_IDiV9TIdQ~','~ks1s.bwrPTsxwek82spcARY74fg.BevxzFK8St1weeoGm02IUOoA1xLoU285rgTqm3kcPdVbQF8s7yvGCUKGEP8-Zuyc~','','~ks1e.rD_eQhwISHMLpxZFEER3BQ.QengcsD7Sl8F-BsjQqamXXAm-dDn~','eight');
INSERT INTO "people" VALUES('p09','~ks1s.bwrPTsxwek82spcARY74fg.f9QLHqIRllDKWjqV_QMck4SG1e_UaUJDNEK2rGRM8Rfqpw~','~ks1s.bwrPTsxwek82spcARY74fg.YolwabIAbkx-VOrd-uxMpo5tr64luKHHm3fYvDTRcm67~','~ks1s.bwrPTsxwek82spcARY74fg.3zjAyMAfRKfugpRriaz0OAuRYvDIOjCNpbMGXL2OP2y_usc~',NULL,'~ks1e.rD_eQhwISHMLpxZFEER3BQ.ASoFD_sSO-tNXuvLZKS8722xcefnMQ~','nine');
INSERT INTO "people" VALUES('p10','~ks1s.bwrPTsxwek82spcARY74fg.o2rnk3Y1rq8Dd9Ni1mlhXq32Y_iLgj6dpd0lziVOnWSNGO4pYxeqtHPC_GLoLKHvmdJ0OF0-jg~','~ks1s.bwrPTsxwek82spcARY74fg.T68DoTCSQppuYjKI_ai4WeuXL58Un5tH03-qAucF0Cs~','~ks1s.bwrPTsxwek82spcARY74fg.QbYWEO_0WpoGDGRBhLFDlaj-61paU4FoZafkvuuM~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.9MtZsWtDg-ZKSi1mpSo-of8Vg-RQlWIv2KDN23vziA~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.O0WFixgGNjngY2xJesCfjWgcpOpw~','ten');
INSERT INTO "people" VALUES('p11','~ks1s.bwrPTsxwek82spcARY74fg.9wVQDgqzn90YEcjE_Qf9DtIO-T7rBeRGLgUpdMknkqchEdzhMrSesCX-mXetIGOqQZObXBlMGBH7n1x7uG4dyGdbgvrkCETbfzmkXMmZyxF97_Mvu_FUXfjZwCgneaRjNG6uXnkO-aM6-KRckQz2z6XXI7HprkWWY62K2FzjLN6izy3AZVQqFa5cQ_oShZ6Seyc0PKAvXE1yVcPlpuCZSABlJN4J9Uk5Fh4ewGg6DjJPz0tfBRhfMDw7ICPrT8CQwM5z6Bct8V7DPajRz2EZ6PwJA65O0i9tNO1HYnjOvD0NLCXjJE62p2XYEuCLUMHVlE9jbevpjZ5cr6tm2zd4Hmx6ENBmI2kox2lKemsWuuMqQMwJ6s7hRhW2fKfE5MyiWvjnXMICC8Z0zP0N7YmHRlelw2KO-kHHl1mKARvRwFoqSVU0_2om9-Ikklc0boVJhbdlpR10NWnFJ58b1D1RXWQUlDOkNbhQ9lR15U3MfcRXPvjG9EFV__TLao35UeHKCtlPR4f36VeY-fX6RLeZRhR-RfbAjJbbHI46cLQPTjIjooQGP_6V8FcnkYIkoPT6J_uhHietO8hhsNfjZUI-7XkVGtN1mEdzF4NKYHbUJVPelWAQ_WidVXtDExhPzkfYBCHWF94Mc--ZtNbJfAFLylTokra6lkBsPHsHnk0ZEm3gyMVTSmXTsVGxt9LQmwPggaxe3FLgLWhdDUfZAZjrDSUgLmz_OS5bD_03HHz05tRz3xc5zV5K1Jl6JgH6eMyggMskzZx56ZQr5AIUC2nWillSd-BO3RzYppbjbzbgZY9mlepl6SyiReOIQP2Pt5mIAOVj0W3zEAX-JVmINf9cjarDTP84vV6LLOOXyVwZUGHUACldRzgvUYAxk5nH-lmwzVl8UnmanTDmTrBE5-3R4UAx62e-RksMm4LE4IxZiAicoU_O7Bm57pcaTz6b7TCWNTvJ3HOc-pfcT_VBGMvmawvkIMv6e0Vi4I_iQST5TDalZErSwQRnR4A0AIA6LLwhB_mhgoa_rWGThnInwWcstzmF3FKTqhHOY9NomV1lkybMGxTBOgjeZ92Psz1tTsYUjd0qe-Zw8mzcC1j7NoLonpFqZeLTqjbCUFbIh8HCc0XsvQh03s25EjdWGcyf3qfxxpqUSl4BApmVTvROnRZ_tN5ftJv3-WkxTsOBVVUvk5jqrrJCDUbxR4l6LTtcQhYGrSdXn4Gegw7FpYXBKoUHRiDToqoLjOLi4IM-mpNzI7sHUk4yroJNR0fQfLiTMTxzeII2k9zLlFdzvVKX1ta2yYTzK3BW0BBH_M-HE0GQEdssW49X-8uOmoBHmM-nmQPRWsVcYxOJjodZkK09F5IbuSWAdunQYH97ExcGSqe5MIIr1qPipM6tuOdtIg4QsXUKuq4SLWFZqLdvPT2r2rAwz0VaTClUziNScI7qA19k6_xnvRAsnflGyf7yRwEbAswjVnnLkpvDolZEbiyFOq-bQCCiv6JsI_2wUax2uA8a03yyp7rXd1Yv3u6EjEdAQjE00bPNu0TBu7OnSFT3HEA1tE3gEENAnLuKKZ2th2Xb9BJ1x5aPNtwdYqlQqkyc_ltFG1kI1cv_g88BA-E5EYX40NL-g73gNQ09YaXTzhZHom0LRxWy0DwPWcevMfb2NN88UIP9d29Tf_nQKhz7VcByVojOqo3D0mfhy9bE38wyJ39KSTevex1ItGUIN5-j9twES7SsxLvCKQea2lH2LAplvd6N18HLcJ3FIznr83tnbzXETOEcTXhVuFJCM2aDnX4jbhOA-rO4_yoiMLKbCRFVGWUYsoSEfhrtNVvu_bIqHYSGVPYphVVOt2tGfAUCNwGm_KxDd8bXDqAe8HcRCYGZt1oC9AKjz1lgU5Avb6RKoU4KI1iKePNWTb5cs8MgRYFAY4vgAt4ikXqCLewQK7ylxjr5jBGRmabhbVRQubLn1zUmZ-OnvANWdPvfovFd5Z0XfijeCSzFfhJx2mkXZfDEt2h9T3M5LTvNX8FTRxF_0bjXdLvR2Hb0HrUZ6YFQVZ4Dc8Cggm3ozxlGZaVajl7DQyTEk0eJ-FL1M8Xjo2Xh5-ayVxxiIiBEYNH5m8bhx9xbeH-iWEKj8SeYIM0LlI60y5q-cRvFGYTIc6wPX96dUAZgAFP_ToS_kkGc3rCsgYqp-plAt1_Qh1yyZ6LYQD9cQiFmKFYZX_F0yIwsm7xoijSjstQXDYuWx342YvoC95dK6eeWONWJgGw2MgFlUGjaR9pCsTLJb62uJF-42CmCn_61zQB4dvRYr0DbGYdPkYPUmphOC1g3ubehRekKaLOmLnxhSaQp6YSLZx82YHYwaSBCzfjzo6AMZLfWv0fT0rmaSfUEtl3dStwI0wH2d3dD59M_4kzaMkz4sGgDcLTQAT7IT8KBKdYGYTejFAZAIsvakyamDvOENGwa0vPUtJv_shDYXljx5m-V5uQD6todCSGCfgubbLEl6hTwPkSTcQ59PhmR6NK5ntA0XMOs9uhS225oclcQGz16o7CjMaw4mA67z82tROTnRLVxq21WzKyP9Mu4FpPERZckQTJcoegX_ux9LlMq0HuJgcMBEMy5kfE5v6pjGyGPPyoceZaNLoZLulrGSH_lFSZeZJukueSHHEGMyZZlot0i3sAOukSIWG1IEscAko1rCX5CeL4Q-BTkIwSvzxPELMOupbaMkDAppx9n-Q31GmQSpFusx_q_PBTbMLwDZ0IjEMYCjyXkauNy9JN_ZcTmjKR0WarDhNqmE4R6hyUYSeke8PULDwZab8J78s27V0tvWcZTEJj-okp4L6Tq1YsX_x76mQYUs1frDT5_7lmMsvJuHuGkwufjEYUZLsyBZc4cUc_Q5n3YMEtW2vtjLEDeSrVrnIcjcoez5t1EZ95pC_M4bmwqFlwJvyuOSrRN5iRv-OGD1lK0l0RaJe-eP6ROzNPuTlapeYEvIR4OPMftcYl3KAhg04aVUj3yo0DL2gZGUCx-LvRiIvJ3aiwSI1_UKTlATsjpyzozj77DNubUiLOlRpHNqQuQmRHUHbwpng6QLMEbwY2CjmGUVdArieM9j6Stelh_G8_ZFqEYpnaEz_Azp7meqb3I4lNSNjv7ZSQvdGYcYPDtlCz1_vCBdHda1SmfWV27SFKr0vtk7Dd17t4vZdmjgO0x_FYNqJxlDPMdm3BlB_2WxOzuE9tJKwmllRsGUyoNckb4Jj9W_t8lxNeEzOgod87RS5ak4zt2JWN0c5sxPi6S93zIUCwDQdcYb6pPgL1NjRMyVOmxPWMZ8-EsqS7cD8cpONSqP71AO_S1eU-pOHJ5ndMVMfgYWVpg2BQNWZrdcRyi7DTgegWUw2Kl5CbRnsOkfh4ENStCTo4Wg88OO6rYqEmM7korV2wOpoKjHWLgvk0DfNO6OobD_UVTbSt5FzbKCJPRPnUZnebFMVIR0h3ex3GxYIvraGoG4ZmkJxR_PNCjPSpH7XCdup891-he3mmVPOTTz61CslmmFhNmGRfGw1ZjLgdOsFgXbYe--P9NmfovkrfBi2863-bgBjvYK-BFd50MbYTXTShvFh52-KcAGDIU62twZTdsvt_pGtXKHTU6Vc0-lncwTk_5HKIPAnvbYsY5J3ANXriYnc2jkTiDtn-bSs2XGB8CU7CnHFKeZ0m7o8t4_p8dwsN7cZa8q9ctSqL0eLnbGicm8wNc2-jWzvGGVN2ihY-3PNkP6SGrbLmvMUGDaUnszHOj5BZuQpP_aWC_QQLZGvLP1c89VV4C8ad_M9PL8MNdnxOmSLTKt04PgUHI_9MV5m1nI-AUOX0i1WMavgKBMhZhkfvIlQjoocSiQrX5SpsaiKokCsC7nh67bP3mI6FPmUZhmq_AHv5AF94kEeRQIui-UmiOV7nMIr2AiaoEsUAt9O8VWOus0o6O0lhFY7BMosYOE2HjsZgSFzy98WMJsuNjCbxvTXc2MLBiazlvtY2sRakhXQ5T3fXyw7e729HnaqGbcZ7TetySizxMQaHCB4EalrnoIUI_oUFOQEkQuw~','~ks1s.bwrPTsxwek82spcARY74fg.rl1gcZq7k61XvrRca0_3juYL6fAjsHW0utoyCYc~','~ks1s.bwrPTsxwek82spcARY74fg.rDFHJ4fL287wuSSWKTQdD1IrupX1PY-w8u0Yz6mL~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.-VgiROAVPCoFozZAU0jrayw~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.CQBEIUfP1UN_XyMBZeVB0Vk~','eleven');
INSERT INTO "people" VALUES('p12','~ks1s.bwrPTsxwek82spcARY74fg.pLYlgCu4FqAmUhEnA0HVM9tBN64-cJ0H983clQiSbLI~','~ks1s.bwrPTsxwek82spcARY74fg.JLLlpaFUQqfFs4zqZfoFrw4rx6g-UvGfp47OJ2g~','~ks1s.bwrPTsxwek82spcARY74fg.6yz34cnJ8Cx1aEyp5RPAzNNnMXNxVhUqZ-UzaYvo~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.7QCwFwm8TXVjQ7p5D40Zir30TD34kz7ylD8E-y-S45I~','~ks1e.rD_eQhwISHMLpxZFEER3BQ.QengcsD7Sl8F-BsjQqamXXAm-dDn~','twelve');
CREATE TABLE sys_kmf_crypto_caller_policy (
	sys_id VARCHAR(32) NOT NULL, 
	type TEXT NOT NULL, 
	module_id TEXT NOT NULL, 
	role TEXT, 
	operation TEXT, 
	result TEXT NOT NULL, 
	active INTEGER NOT NULL, 
	spec_id TEXT, 
	target_instance TEXT, 
	target_fingerprint TEXT, 
	key_ids TEXT, 
	expires_at TEXT, 
	frequency TEXT, 
	clone_id TEXT, 
	consumed_at TEXT, 
	revision INTEGER NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sys_id)
);
INSERT INTO "sys_kmf_crypto_caller_policy" VALUES('01a2020d045f7000a7fded42eed9cfa5','role','01a2020d04447000957cbf74caefd887','readers','decrypt','track',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,'373c8eca6bfc3930af8d38a83a5090b91e212f54e18ec9284609e541553a3b18');
INSERT INTO "sys_kmf_crypto_caller_policy" VALUES('01a2020d04677000b8aacf586727bacd','role','01a2020d04447000957cbf74caefd887','all','both','track',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,'38c8f3ce25d2c615c35c89acbd913d8832f1f292a2cc04b3c1be25d598c8b5bb');
INSERT INTO "sys_kmf_crypto_caller_policy" VALUES('01a2020d046a70008fa1cda88ad8c566','role','01a2020d04447000957cbf74caefd887','writers','encrypt','track',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,'21405e7505a18ba0fdeb0dd8ceff1715aac450529e3bd13f05e299862bcfebcc');
INSERT INTO "sys_kmf_crypto_caller_policy" VALUES('01a2020d04787000ad649464d076772c','role','01a2020d046e70009a350b26e9b0355d','readers','decrypt','track',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,'b6c719033402be295dd734c745864daaca93102185f1d2c5cea468c26cac7750');
INSERT INTO "sys_kmf_crypto_caller_policy" VALUES('01a2020d047b7000b641d9b3e4fd3b34','role','01a2020d046e70009a350b26e9b0355d','all','both','track',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,'c78ccf06cc13bc6ca83ca5950fff981db8f0c770bf78c8b3ecd64a99c18d43f6');
INSERT INTO "sys_kmf_crypto_caller_policy" VALUES('01a2020d047f7000ad127e8128ed64d5','role','01a2020d046e70009a350b26e9b0355d','writers','encrypt','track',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,'ffa456f00f93e99ec891155c9314950a59fff2e6a557be92f1e0f7313e51c0b1');
CREATE TABLE sys_kmf_crypto_module (
	sys_id VARCHAR(32) NOT NULL, 
	name TEXT NOT NULL, 
	state TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sys_id), 
	UNIQUE (name)
);
INSERT INTO "sys_kmf_crypto_module" VALUES('01a2020d04447000957cbf74caefd887','global.standard','published',2,'8a3b68f05304ba56250f1fa9dcfc08302dda6f65ed143a83da8fd945672e452f');
INSERT INTO "sys_kmf_crypto_module" VALUES('01a2020d046e70009a350b26e9b0355d','global.equal','published',2,'a0a935bfce1223a7ef494f614de00e8ab2924c5cd1bd1753e958b80cd24d607f');
CREATE TABLE sys_kmf_module_crypto_spec (
	sys_id VARCHAR(32) NOT NULL, 
	module_id TEXT NOT NULL, 
	purpose TEXT NOT NULL, 
	algorithm TEXT NOT NULL, 
	size_bits INTEGER NOT NULL, 
	equality_preserving INTEGER NOT NULL, 
	revision INTEGER NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sys_id), 
	UNIQUE (module_id, purpose)
);
INSERT INTO "sys_kmf_module_crypto_spec" VALUES('01a2020d04467000913f38d62a5689bb','01a2020d04447000957cbf74caefd887','symmetric encryption','AES-GCM',256,0,1,'a372d6a9a3a336d8d7b1802d36ef089375e269a5a8cafcb20382e325b95ad319');
INSERT INTO "sys_kmf_module_crypto_spec" VALUES('01a2020d046e7001a564b2d94c631315','01a2020d046e70009a350b26e9b0355d','symmetric encryption','AES-SIV',256,1,1,'22b42e1c150a862bc6faa803f3d3d7ea8878b03e032ee327ddfabd790f5a7b88');
CREATE TABLE sys_kmf_module_key (
	sys_id VARCHAR(32) NOT NULL, 
	spec_id TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	active_of TEXT, 
	origin TEXT NOT NULL, 
	source_instance TEXT, 
	material TEXT, 
	generated_at TEXT NOT NULL, 
	activated_at TEXT, 
	deactivated_at TEXT, 
	destroyed_at TEXT, 
	revision INTEGER NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sys_id), 
	UNIQUE (spec_id, version), 
	UNIQUE (active_of)
);
INSERT INTO "sys_kmf_module_key" VALUES('6f0acf4ecc707a4f36b29700458ef87e','01a2020d04467000913f38d62a5689bb',1,'deactivated',NULL,'generated',NULL,'AfvWTlkTrbJwdgVcCr+hKRhwiUSLH30arlqHmyhK9CrWYUKwk65Ts6Uf+88P9OyhB0ip/QY4Uu/ld3Ofug==','2026-11-22T06:58:57.236829Z','2026-11-22T06:58:57.236829Z','2026-11-22T06:58:57.519945Z',NULL,2,'946e3823a8cdbf4013527dd423b46da6131e2618a918858d8f7173289752da69');
INSERT INTO "sys_kmf_module_key" VALUES('ac3fde421c0848730ba7164510447705','01a2020d046e7001a564b2d94c631315',1,'deactivated',NULL,'generated',NULL,'ARiCVbFWQQwYKdD61Y5n9n+KgfE8RkbgTP6pwcNoKEv+G/4ImtxrJJQxle2UJYfCWlJo+FA4vjhZQUfC5w==','2026-11-22T06:58:57.268352Z','2026-11-22T06:58:57.268352Z','2026-11-22T06:58:57.534982Z',NULL,2,'e0f06ea386d137be561f340682be509b507e41ac9e9538d609c9eb109b7a1987');
INSERT INTO "sys_kmf_module_key" VALUES('a4f6e0358d9321ce1e4bee56e14bedfa','01a2020d04467000913f38d62a5689bb',2,'active','01a2020d04467000913f38d62a5689bb','generated',NULL,'AWLF5uIC+q4QBAlwd1JZ5NOB+AcBjI8tkFCfiSoQmrP1R8A50ceZWxAV903dy76xg2y374iEP0pobaixnQ==','2026-11-22T06:58:57.523441Z','2026-11-22T06:58:57.523441Z',NULL,NULL,1,'5be2a77c55402899cbe99fc4f7a0e584fc9f7423547ae9a4961fb49216b1bc18');
INSERT INTO "sys_kmf_module_key" VALUES('cac818c1aa2a71b656463185a5885ea5','01a2020d046e7001a564b2d94c631315',2,'active','01a2020d046e7001a564b2d94c631315','generated',NULL,'AVBZ2QFCIvot0Ywaj9GQv0pa5HiQHhv63dlwa/APnmOgM0Nblm9exs9GYlNpCHBQ5YUon4wJvdRro4WS/Q==','2026-11-22T06:58:57.536859Z','2026-11-22T06:58:57.536859Z',NULL,NULL,1,'5998c2792d103391809c89c11d4e5261aa87e5434b7735c366319e7a4b2f5a74');
CREATE TABLE sys_platform_encryption_configuration (
	sys_id VARCHAR(32) NOT NULL, 
	table_name TEXT NOT NULL, 
	column_name TEXT NOT NULL, 
	module_id TEXT NOT NULL, 
	spec_id TEXT NOT NULL, 
	scheme TEXT NOT NULL, 
	phase TEXT NOT NULL, 
	original_type TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sys_id), 
	UNIQUE (table_name, column_name)
);
INSERT INTO "sys_platform_encryption_configuration" VALUES('01a2020d04aa70009bec8da6c303659f','people','name','01a2020d04447000957cbf74caefd887','01a2020d04467000913f38d62a5689bb','s','sealed','text',2,'189956339fc9bef5ba007395f47f53977f283017c084b43c9c8cc603dc4c88ca');
INSERT INTO "sys_platform_encryption_configuration" VALUES('01a2020d04b67000b36a87a1482b7535','people','city','01a2020d04447000957cbf74caefd887','01a2020d04467000913f38d62a5689bb','s','sealed','text',2,'4e677a8cd35f6f5439e00d8b075e72249093926c9dcbb0b782504965d7005d30');
INSERT INTO "sys_platform_encryption_configuration" VALUES('01a2020d04cb70009bd497af44896c65','people','salary','01a2020d04447000957cbf74caefd887','01a2020d04467000913f38d62a5689bb','s','sealed','integer',2,'0d89b0c33212cf6cd26cdb45ca7c8164c73cc5446700651929d1139aec57fc66');
INSERT INTO "sys_platform_encryption_configuration" VALUES('01a2020d04d4700095086659c05588b7','people','email','01a2020d046e70009a350b26e9b0355d','01a2020d046e7001a564b2d94c631315','e','sealed','text',2,'4b084cea640d2464d9f1dcc23116f16966575705e44d6c14ab6c2988182be8ca');
INSERT INTO "sys_platform_encryption_configuration" VALUES('01a2020d04dc7000a626a940ecef3e88','people','team','01a2020d046e70009a350b26e9b0355d','01a2020d046e7001a564b2d94c631315','e','sealed','text',2,'4715e98cee205c92fc815007cfd199b1bb19bd876e3d59d74ec13b541452cf2c');
CREATE TABLE sys_user (
	sys_id VARCHAR(32) NOT NULL, 
	user_name TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sys_id), 
	UNIQUE (user_name)
);
INSERT INTO "sys_user" VALUES('01a2020d04837000a7c281e728af8de2','reader',1,'5b2d3a0263df7cae5ba741fa9e2e0b8b625a984b0dc8679c6a81007663d3e2b5');
INSERT INTO "sys_user" VALUES('01a2020d0489700084aea22523891898','both',1,'9d5d0a1b54be8cea509f2e3fdd79c32fcc24d37ef6d6a8fa22d2078d285428cb');
INSERT INTO "sys_user" VALUES('01a2020d048b700093f466b8755f5eee','writer',1,'8fa77c159c74c7fc496075eef9871c247421e5f64b0472f71d15a397d41b75e0');
INSERT INTO "sys_user" VALUES('01a2020d048e7000bd02dbc942db24c3','guest',1,'c9bb801241bd6bc062194f77baef7de72836999cead1db06aa50f78e9240592b');
CREATE TABLE sys_user_has_role (
	sys_id VARCHAR(32) NOT NULL, 
	user_id TEXT NOT NULL, 
	role TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	tag VARCHAR(64) NOT NULL, 
	PRIMARY KEY (sys_id), 
	UNIQUE (user_id, role)
);
INSERT INTO "sys_user_has_role" VALUES('01a2020d048470008c342bf962e67f17','01a2020d04837000a7c281e728af8de2','readers',1,'63f96bfbdbb23cce77f6e6c1247b92d6ec755c07019313ab43ddb65ddee7988f');
INSERT INTO "sys_user_has_role" VALUES('01a2020d04897001a4d3c9bb248fb565','01a2020d0489700084aea22523891898','all',1,'7be8892bf753ce32f275cb06cb8012b0a1d11113bba659ea74c2cfac53499c05');
INSERT INTO "sys_user_has_role" VALUES('01a2020d048c7000b2a6f6ca0d817527','01a2020d048b700093f466b8755f5eee','writers',1,'f06f633d2a69ec3ed8ba992448fd19a0706cc224958793963dae66e97f52d47f');
INSERT INTO "sys_user_has_role" VALUES('01a2020d048f70008b128e1ee7061685','01a2020d048e7000bd02dbc942db24c3','guests',1,'774737e2b50a4c33abf9f961606ab3646cc3c046ca026c70333271e1eff80764');
COMMIT;
