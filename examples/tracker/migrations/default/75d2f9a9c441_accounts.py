"""tables of accounts"""

import sqlalchemy as sa
from alembic import op

revision = "75d2f9a9c441"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "accounts_users",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False, unique=True),
        sa.Column("email", sa.String(254), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "accounts_groups",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False, unique=True),
    )
    user, group = "accounts_users.id", "accounts_groups.id"
    op.create_table(
        "accounts_memberships",
        sa.Column("user_id", sa.Integer(), sa.ForeignKey(user, ondelete="CASCADE"), primary_key=True),
        sa.Column("group_id", sa.Integer(), sa.ForeignKey(group, ondelete="CASCADE"), primary_key=True),
    )
    op.create_table(
        "accounts_user_permissions",
        sa.Column("user_id", sa.Integer(), sa.ForeignKey(user, ondelete="CASCADE"), primary_key=True),
        sa.Column("permission", sa.String(100), primary_key=True),
    )
    op.create_table(
        "accounts_group_permissions",
        sa.Column("group_id", sa.Integer(), sa.ForeignKey(group, ondelete="CASCADE"), primary_key=True),
        sa.Column("permission", sa.String(100), primary_key=True),
    )


def downgrade() -> None:
    """Go back."""
    for name in ("group_permissions", "user_permissions", "memberships", "groups", "users"):
        op.drop_table(f"accounts_{name}")
