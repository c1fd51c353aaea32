/* upgrade: from an older format of the environments to this one. Internal to store/. */
#ifndef TANDEM_STORE_UPGRADE_H
#define TANDEM_STORE_UPGRADE_H

#include "store/env.h"

env_upgrade plan_upgrade;
env_upgrade state_upgrade;

#endif
