/* The only platform of the negative controls. */
#include <stddef.h>

#include "platform/front.h"

extern const struct platform_front g_linux_user_front;
const struct platform_front *const g_platform_fronts[] = {&g_linux_user_front, NULL};
