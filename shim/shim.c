#include "shim/shim.h"

struct platform *g_platform;
const struct shim_config *g_config;
