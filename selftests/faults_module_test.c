// SPDX-License-Identifier: GPL-2.0
/*
 * The module runs out of memory while it is put in: each allocation that it makes
 * by itself fails in turn. It is in or it is not, and can be tried again.
 *
 * Takes the module of VFS_FILTER_KO out and puts it in, and leaves it there.
 */

#include "faults.h"
#include "module.h"

FIXTURE(faults_module)
{
};

FIXTURE_SETUP(faults_module)
{
	/* What loads them is not ours. */
	REQUIRE_FAULTS(&modules_code);
	REQUIRE_MODULE();
	/* No one is there to load it but this test. */
	ASSERT_EQ(0, write_file(MODPROBE, 0, "\n"));
	ASSERT_EQ(0, unload_soon());
	ASSERT_EQ(0, fault_open());
}

FIXTURE_TEARDOWN(faults_module)
{
	faults_end();
	test_end(_metadata);
}

TEST_F(faults_module, load)
{
	unsigned int failed = 0;
	int ret;

	FOR_EACH_FAULT(f) {
		FAULT(&f, ret = -load(module_path));
		f.error = ret;
		failed += !!ret;
		expect_done_or(_metadata, &f, !ret, ENOMEM);
		expect_init(_metadata, ret ? EOPNOTSUPP : 0);
		if (!ret && f.hit) {
			ASSERT_EQ(0, unload_soon());
		}
	}
	EXPECT_LT(0U, failed);
}

TEST_HARNESS_MAIN
